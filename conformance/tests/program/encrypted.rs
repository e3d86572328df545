//! A server behind something that decrypts, as in production.

#[path = "../../../client-sdk/tests/sdk/certified.rs"]
mod certified;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::certified::certified;
use super::targets::Service;
use super::{must_end, report};

/// Decrypts what comes and forwards it to a server; its address.
async fn front(server: SocketAddr, tls: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = TlsAcceptor::from(tls);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                // Whoever does not trust us, or has gone, ends it.
                let (Ok(mut client), Ok(mut server)) = (tls.accept(client).await, TcpStream::connect(server).await)
                else {
                    return;
                };
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_is_judged_by_what_the_system_trusts() {
    let service = Service::started();
    let (authority, tls) = certified();
    let address = front(service.address(), tls).await;
    let dir = TempDir::new().unwrap();
    let trusted = dir.path().join("authority.pem");
    std::fs::write(&trusted, authority).unwrap();
    let url = format!("https://{address}");
    let chosen = [
        "wire::request_ids",
        "typing::typing_goes*",
        "transport_packets::one_post*",
        "transport_socket.io::*",
    ];
    let chosen = chosen.map(|case| ["--case", case]);
    let judged = |certificates: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-conformance"));
        program.args(["--report", dir.path().to_str().unwrap(), "url", &url]);
        program.args(chosen.as_flattened()).env("SSL_CERT_FILE", certificates);
        program.env_remove("SSL_CERT_DIR").output().unwrap()
    };
    let said = must_end(&judged(trusted.to_str().unwrap()), 0);
    let report = report(&dir);
    let cases = report["cases"].as_array().unwrap();
    assert!(
        cases.len() > 8 && cases.iter().all(|case| case["verdict"] == "pass"),
        "{said}"
    );

    // Nobody is believed whom the system does not trust.
    let (other, _) = certified();
    let stranger = dir.path().join("stranger.pem");
    std::fs::write(&stranger, other).unwrap();
    must_end(&judged(stranger.to_str().unwrap()), 3);
}
