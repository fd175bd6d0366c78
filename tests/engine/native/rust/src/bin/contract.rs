//! The contract's handlers in Rust, by AWS's own library.

use lambda_runtime::streaming::{channel, Body, Response};
use lambda_runtime::{run, service_fn, tracing, Context, Diagnostic, Error, LambdaEvent};
use serde::{Serialize, Serializer};
use serde_json::{json, Value};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, fs};

static COUNT: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);

enum Answer {
    Value(Value),
    Broken,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Answer::Value(value) => value.serialize(serializer),
            Answer::Broken => Err(serde::ser::Error::custom("cannot be written")),
        }
    }
}

fn about(context: &Context) -> Value {
    let known = &context.env_config;
    json!({
        "request": context.request_id, "arn": context.invoked_function_arn, "name": known.function_name,
        "version": known.version, "memory": known.memory.to_string(), "group": known.log_group,
        "stream": known.log_stream, "custom": context.client_context.as_ref().map(|client| client.custom.clone()),
        "identity": context.identity.as_ref().map(|who| who.identity_id.clone()),
    })
}

fn append(place: &str) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().append(true).create(true).open(place)
}

fn listing(place: &str) -> Vec<String> {
    let entries = fs::read_dir(place).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn log(level: &str, text: &str) {
    match level {
        "error" => tracing::error!("{text}"),
        "warn" => tracing::warn!("{text}"),
        _ => tracing::info!("{text}"),
    }
}

fn files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur
}

async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

async fn handle(event: LambdaEvent<Value>) -> Result<Answer, Diagnostic> {
    let (payload, context) = event.into_parts();
    let Some(what) = payload.get("do").and_then(Value::as_str) else {
        return Ok(Answer::Value(payload));
    };
    let with = payload["with"].clone();
    let (text, number) = (with.as_str().unwrap_or_default().to_owned(), with.as_f64().unwrap_or_default());
    Ok(Answer::Value(match what {
        "echo" => with,
        "context" => about(&context),
        "remaining" => {
            json!(context.deadline().duration_since(SystemTime::now()).unwrap_or_default().as_millis() as u64)
        }
        "environment" => json!(env::vars().collect::<std::collections::HashMap<_, _>>()),
        "where" => json!([env::current_dir().unwrap(), env::current_exe().unwrap().parent()]),
        "count" => json!(COUNT.fetch_add(1, Ordering::SeqCst) + 1),
        "pid" => json!(std::process::id()),
        "raise" => {
            let error = Diagnostic { error_type: "Boom".into(), error_message: text };
            return Err(error);
        }
        "unserialisable" => return Ok(Answer::Broken),
        "exit" => std::process::exit(number as i32),
        "signal" => {
            unsafe { libc::kill(libc::getpid(), number as i32) };
            pause(5.0).await;
            Value::Null
        }
        "sleep" => {
            pause(number).await;
            Value::Null
        }
        "spin" => loop {
            std::hint::spin_loop();
        },
        "big" => json!("x".repeat(number as usize)),
        "print" => {
            println!("{text}");
            Value::Null
        }
        "error" => {
            eprintln!("{text}");
            Value::Null
        }
        "partial" => {
            print!("{text}");
            std::io::stdout().flush().unwrap();
            Value::Null
        }
        "log" => {
            log(with[0].as_str().unwrap(), with[1].as_str().unwrap());
            Value::Null
        }
        "child" => {
            let child = Command::new("sh").args(["-c", &text]).stdin(Stdio::inherit()).status().unwrap();
            json!(child.code())
        }
        "tick" => {
            std::thread::spawn(|| loop {
                TICKS.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            });
            Value::Null
        }
        "ticks" => json!(TICKS.load(Ordering::SeqCst)),
        "write" => {
            let mut file = append(&text).unwrap();
            file.write_all(b"x").unwrap();
            json!(file.metadata().unwrap().len())
        }
        "can" => json!(append(&text).is_ok()),
        "reads" => json!(fs::read(&text).is_ok()),
        "user" => json!(unsafe { libc::getuid() }),
        "files" => json!(files()),
        "fill" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1u8; 1 << 20]);
            }
        }
        "listing" => json!(listing(&text)),
        _ => Value::Null,
    }))
}

async fn stream(_: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        let _ = sender.send_data("one".into()).await;
        pause(0.06).await;
        let _ = sender.send_data("two".into()).await;
    });
    Ok(Response::from(body))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    println!("loaded");
    match env::var("AT_INIT").as_deref() {
        Ok("exit") => std::process::exit(7),
        Ok("hang") => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        Ok("stream") => run(service_fn(stream)).await,
        _ => run(service_fn(handle)).await,
    }
}
