// How the generated functions reach the server: whom it trusts and where it is are the caller's to say.
export interface Connection extends RequestInit {
  baseUrl: string;
  token: string;
}

export async function request<T>(path: string, options: RequestInit): Promise<T> {
  const { baseUrl, token, ...init } = options as Connection;
  const headers = new Headers(init.headers);
  headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(baseUrl + path, { ...init, headers, redirect: "error" });
  const text = await response.text();
  return { data: text ? JSON.parse(text) : undefined, status: response.status, headers: response.headers } as T;
}
