package handlers

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sessiond/sessiond/store"
	"github.com/sessiond/sessiond/store/storetest"
)

// TestEveryCallOfTheStoreIsTraced calls every method without saying what: each begins one span, with its own name, and ends it.
func TestEveryCallOfTheStoreIsTraced(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	traced := reflect.ValueOf(Store(tracedStore{store: storetest.SQLite(t, store.Options{}), tracer: tracer}))
	methods := reflect.TypeFor[Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		call := traced.MethodByName(name)
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for len(arguments) < call.Type().NumIn() {
			arguments = append(arguments, reflect.Zero(call.Type().In(len(arguments))))
		}
		call.Call(arguments)
		require.Len(t, recorder.Ended(), i+1, "%s ends its span", name)
		assert.Equal(t, "store."+name, recorder.Ended()[i].Name())
	}
	assert.Len(t, recorder.Started(), methods.NumMethod())
}
