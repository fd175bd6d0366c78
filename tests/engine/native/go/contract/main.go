// The contract's handlers in Go, by AWS's own library.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

var count int
var ticks atomic.Int64

type Boom struct{ message string }

func (boom Boom) Error() string { return boom.message }

type asked struct {
	Do   string          `json:"do"`
	With json.RawMessage `json:"with"`
}

func text(raw json.RawMessage) string {
	var value string
	_ = json.Unmarshal(raw, &value)
	return value
}

func number(raw json.RawMessage) float64 {
	var value float64
	_ = json.Unmarshal(raw, &value)
	return value
}

func about(ctx context.Context) map[string]any {
	known, _ := lambdacontext.FromContext(ctx)
	told := map[string]any{
		"request": known.AwsRequestID, "arn": known.InvokedFunctionArn, "name": lambdacontext.FunctionName,
		"version": lambdacontext.FunctionVersion, "memory": fmt.Sprint(lambdacontext.MemoryLimitInMB),
		"group": lambdacontext.LogGroupName, "stream": lambdacontext.LogStreamName, "custom": nil, "identity": nil,
	}
	if known.ClientContext.Custom != nil {
		told["custom"] = known.ClientContext.Custom
	}
	if known.Identity.CognitoIdentityID != "" {
		told["identity"] = known.Identity.CognitoIdentityID
	}
	return told
}

func environment() map[string]string {
	found := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		found[name] = value
	}
	return found
}

func run(command string) string {
	child := exec.Command("sh", "-c", command)
	child.Stderr = os.Stderr
	out, _ := child.Output()
	return string(out)
}

func listing(place string) []string {
	names := []string{}
	entries, _ := os.ReadDir(place)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	return names
}

func write(place string) int64 {
	file, err := os.OpenFile(place, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	_, _ = file.WriteString("x")
	about, _ := file.Stat()
	return about.Size()
}

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var event asked
	if json.Unmarshal(raw, &event) != nil || event.Do == "" {
		return raw, nil
	}
	with := event.With
	switch event.Do {
	case "echo":
		var value any
		_ = json.Unmarshal(with, &value)
		return value, nil
	case "context":
		return about(ctx), nil
	case "remaining":
		deadline, _ := ctx.Deadline()
		return time.Until(deadline).Milliseconds(), nil
	case "environment":
		return environment(), nil
	case "where":
		place, _ := os.Getwd()
		program, _ := os.Executable()
		return []string{place, filepath.Dir(program)}, nil
	case "count":
		count++
		return count, nil
	case "pid":
		return os.Getpid(), nil
	case "raise":
		return nil, Boom{text(with)}
	case "unserialisable":
		return make(chan int), nil
	case "exit":
		os.Exit(int(number(with)))
	case "signal":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(int(number(with))))
		time.Sleep(5 * time.Second)
	case "sleep":
		time.Sleep(time.Duration(number(with) * float64(time.Second)))
	case "spin":
		for {
		}
	case "big":
		return strings.Repeat("x", int(number(with))), nil
	case "print":
		fmt.Println(text(with))
	case "error":
		fmt.Fprintln(os.Stderr, text(with))
	case "partial":
		fmt.Print(text(with))
	case "child":
		fmt.Print(run(text(with)))
	case "tick":
		go func() {
			for {
				ticks.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		}()
	case "ticks":
		return ticks.Load(), nil
	case "write":
		return write(text(with)), nil
	case "can":
		file, err := os.OpenFile(text(with), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		_ = file.Close()
		return err == nil, nil
	case "reads":
		_, err := os.ReadFile(text(with))
		return err == nil, nil
	case "user":
		return os.Getuid(), nil
	case "files":
		var limit syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
		return limit.Max, nil
	case "fill":
		kept := [][]byte{}
		for {
			block := make([]byte, 1<<20)
			for index := range block {
				block[index] = 1
			}
			kept = append(kept, block)
		}
	case "listing":
		return listing(text(with)), nil
	}
	return nil, nil
}

func main() {
	switch os.Getenv("AT_INIT") {
	case "exit":
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour)
	}
	fmt.Println("loaded")
	lambda.Start(handle)
}
