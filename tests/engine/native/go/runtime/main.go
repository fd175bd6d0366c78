// A function in Go, by AWS's own library.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do string `json:"do"`
}

func handle(ctx context.Context, told event) (map[string]any, error) {
	switch told.Do {
	case "fail":
		return nil, errors.New("it went wrong")
	case "panic":
		panic("it went very wrong")
	}
	known, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	fmt.Println("said in Go")
	return map[string]any{
		"id":      known.AwsRequestID,
		"arn":     known.InvokedFunctionArn,
		"left":    time.Until(deadline).Seconds(),
		"memory":  lambdacontext.MemoryLimitInMB,
		"name":    lambdacontext.FunctionName,
		"custom":  known.ClientContext.Custom,
		"cognito": known.Identity.CognitoIdentityID,
	}, nil
}

func main() {
	lambda.Start(handle)
}
