//! A function in Rust, by AWS's own library.

use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload["do"] == "fail" {
        return Err("it went wrong".into());
    }
    println!("said in Rust");
    Ok(json!({
        "id": event.context.request_id,
        "arn": event.context.invoked_function_arn,
        "name": event.context.env_config.function_name,
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
