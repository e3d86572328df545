//! Clients that are not ours talk to the server: the official one of Socket.IO, and one in Rust by somebody else.
//!
//! Both are programs of their own, with lock files of their own. Where there is no npm, or no OpenSSL to build the other against,
//! the test says so and judges nothing; CI has both (`CHAT_INTEROP=required` makes their absence a failure).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says what it could not do"
)]

#[path = "../socket/config.rs"]
mod config;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chat_server::app::App;
use chat_server::serve::{Listeners, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where the clients are.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// A server in this process with two people; what a client has to know of it.
async fn setting(dir: &TempDir) -> Value {
    let app = App::build(config::of_tests(dir.path())).await.unwrap();
    let listeners = Listeners::bind(&app.config).await.unwrap();
    let base = format!("http://{}", listeners.address().unwrap());
    tokio::spawn(serve(app, listeners, std::future::pending()));
    let mut setting = json!({"base": base});
    for name in ["ann", "bob"] {
        let body = json!({"username": name, "email": format!("{name}@example.org"), "password": "a long password", "confirmPassword": "a long password"});
        let answer = reqwest::Client::new()
            .post(format!("{base}/api/auth/register"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let session: Value = answer.json().await.unwrap();
        setting[name] = json!({"id": session["user"]["id"], "token": session["tokens"]["accessToken"]});
    }
    setting
}

/// Runs a command to its end, off the threads of the server.
async fn finished(mut command: Command) -> Option<Output> {
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().ok())
        .await
        .unwrap()
}

fn well(output: &Output, what: &str) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{what}: {}\n{out}\n{err}", output.status);
}

/// Whether to go on without: never where it is required.
fn without(what: &str) {
    assert!(
        std::env::var_os("CHAT_INTEROP").is_none_or(|value| value != "required"),
        "{what}"
    );
    eprintln!("NOT judged: {what}");
}

/// Installs what the lock file names, once; test processes wait for each other.
async fn installed(folder: &Path) -> bool {
    let lock = std::fs::File::create(folder.join("node_modules.lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    let marker = folder.join("node_modules/.package-lock.json");
    if !marker.exists() {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder);
        match finished(npm).await {
            None => return false,
            Some(output) => well(&output, "npm ci"),
        }
    }
    drop(lock);
    true
}

async fn official_client(transports: &[&str]) {
    let folder = folder("javascript");
    if !installed(&folder).await {
        return without("there is no npm for the official client");
    }
    let dir = TempDir::new().unwrap();
    let mut setting = setting(&dir).await;
    setting["transports"] = json!(transports);
    let mut node = Command::new("node");
    node.arg("conversation.mjs")
        .arg(setting.to_string())
        .current_dir(&folder);
    match finished(node).await {
        None => without("there is no node for the official client"),
        Some(output) => well(&output, "conversation.mjs"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_over_websocket() {
    official_client(&["websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_over_polling() {
    official_client(&["polling"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_upgrades() {
    official_client(&["polling", "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_rust_talks() {
    let has_openssl = Command::new("pkg-config").args(["--exists", "openssl"]).status();
    if !has_openssl.is_ok_and(|status| status.success()) {
        return without("there is no OpenSSL to build rust_socketio against");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--manifest-path"]);
    build
        .arg(folder("rust").join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target);
    well(&finished(build).await.unwrap(), "building the client");
    let dir = TempDir::new().unwrap();
    let setting = setting(&dir).await;
    let mut client = Command::new(target.join("debug/chat-interop"));
    client.arg(setting.to_string());
    well(&finished(client).await.unwrap(), "the client");
}
