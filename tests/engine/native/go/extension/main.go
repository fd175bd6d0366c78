// An extension in Go: it subscribes to telemetry, and prints every event it is told of.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

var api = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")

func ask(method, path string, body any, headers map[string]string) (*http.Response, map[string]any) {
	encoded, _ := json.Marshal(body)
	request, _ := http.NewRequest(method, api+path, bytes.NewReader(encoded))
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	told := map[string]any{}
	_ = json.NewDecoder(answer.Body).Decode(&told)
	return answer, told
}

func take(_ http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	var events []json.RawMessage
	_ = json.Unmarshal(body, &events)
	for _, event := range events {
		fmt.Println("go " + string(event))
	}
}

func main() {
	listener, err := net.Listen("tcp", os.Getenv("LISTEN_ON")+":4243")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, http.HandlerFunc(take))
	name := filepath.Base(os.Args[0])
	answer, _ := ask("POST", "/2020-01-01/extension/register", map[string]any{"events": []string{"INVOKE", "SHUTDOWN"}},
		map[string]string{"Lambda-Extension-Name": name})
	known := map[string]string{"Lambda-Extension-Identifier": answer.Header.Get("Lambda-Extension-Identifier")}
	ask("PUT", "/2022-07-01/telemetry", map[string]any{
		"schemaVersion": "2025-01-29",
		"types":         []string{"platform", "function"},
		"destination":   map[string]any{"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"},
		"buffering":     map[string]any{"timeoutMs": 25, "maxBytes": 262144, "maxItems": 1000},
	}, known)
	for {
		_, told := ask("GET", "/2020-01-01/extension/event/next", nil, known)
		fmt.Println("told", told["eventType"])
		if told["eventType"] == "SHUTDOWN" {
			return
		}
	}
}
