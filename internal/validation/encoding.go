package validation

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeText decodes the bytes of a JSON body: a byte order mark determines the encoding and is dropped; without one, the zero bytes
// among the first four do. An unpaired surrogate becomes U+FFFD, because a Go string cannot hold it; anything else that is not text
// is ErrUndecodable.
func decodeText(body []byte) (string, error) {
	switch {
	case hasPrefix(body, 0, 0, 0xFE, 0xFF):
		return decodeUTF32(body[4:], binary.BigEndian)
	case hasPrefix(body, 0xFF, 0xFE, 0, 0):
		return decodeUTF32(body[4:], binary.LittleEndian)
	case hasPrefix(body, 0xFE, 0xFF):
		return decodeUTF16(body[2:], binary.BigEndian)
	case hasPrefix(body, 0xFF, 0xFE):
		return decodeUTF16(body[2:], binary.LittleEndian)
	case hasPrefix(body, 0xEF, 0xBB, 0xBF):
		return decodeUTF8(body[3:])
	}
	return decodeUnmarked(body)
}

// decodeUnmarked infers the encoding from the zero bytes: JSON begins with two ASCII characters.
func decodeUnmarked(body []byte) (string, error) {
	switch {
	case len(body) >= 4 && body[0] == 0 && body[1] == 0:
		return decodeUTF32(body, binary.BigEndian)
	case len(body) >= 4 && body[0] != 0 && body[1] == 0 && body[2] == 0 && body[3] == 0:
		return decodeUTF32(body, binary.LittleEndian)
	case (len(body) >= 4 || len(body) == 2) && body[0] == 0:
		return decodeUTF16(body, binary.BigEndian)
	case (len(body) >= 4 || len(body) == 2) && body[1] == 0:
		return decodeUTF16(body, binary.LittleEndian)
	default:
		return decodeUTF8(body)
	}
}

func hasPrefix(body []byte, mark ...byte) bool { return bytes.HasPrefix(body, mark) }

func decodeUTF8(body []byte) (string, error) {
	if utf8.Valid(body) {
		return string(body), nil
	}
	var text strings.Builder
	for len(body) > 0 {
		r, size := utf8.DecodeRune(body)
		if r == utf8.RuneError && size == 1 {
			if !encodedSurrogate(body) {
				return "", ErrUndecodable
			}
			size = 3
		}
		text.WriteRune(r)
		body = body[size:]
	}
	return text.String(), nil
}

// encodedSurrogate reports whether the bytes begin with a surrogate in the form that UTF-8 would give it.
func encodedSurrogate(body []byte) bool {
	return len(body) >= 3 && body[0] == 0xED && body[1] >= 0xA0 && body[1] <= 0xBF && body[2] >= 0x80 && body[2] <= 0xBF
}

func decodeUTF16(body []byte, order binary.ByteOrder) (string, error) {
	if len(body)%2 != 0 {
		return "", ErrUndecodable
	}
	units := make([]uint16, len(body)/2)
	for i := range units {
		units[i] = order.Uint16(body[2*i:])
	}
	return string(utf16.Decode(units)), nil
}

func decodeUTF32(body []byte, order binary.ByteOrder) (string, error) {
	if len(body)%4 != 0 {
		return "", ErrUndecodable
	}
	var text strings.Builder
	for ; len(body) > 0; body = body[4:] {
		point := order.Uint32(body)
		if point > utf8.MaxRune {
			return "", ErrUndecodable
		}
		text.WriteRune(rune(point))
	}
	return text.String(), nil
}
