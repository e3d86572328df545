//! Engine.io over HTTP long-polling.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Shared;
use super::packet::Frame;
use crate::engine::Stop;
use crate::engine::body::Text;

/// Between packets of one body.
const SEPARATOR: char = '\u{1e}';

/// Opens the session and starts the tasks that read and write.
pub(super) async fn open(
    http: &reqwest::Client,
    base: &str,
    shared: &Arc<Shared>,
    out: mpsc::UnboundedSender<Frame>,
    mut frames: mpsc::UnboundedReceiver<Frame>,
) -> Result<Vec<AbortHandle>, Stop> {
    let url = format!("{base}/socket.io/?EIO=4&transport=polling");
    let failed = |error: &dyn std::fmt::Display| Stop::Inconclusive(format!("polling: {error}"));
    let response = http.get(&url).send().await.map_err(|error| failed(&error))?;
    let open = Text::strictly_of(response).await.map_err(|error| failed(&error))?;
    let handshake: Value = serde_json::from_str(open.trim_start_matches('0')).map_err(|error| failed(&error))?;
    let sid = handshake["sid"]
        .as_str()
        .ok_or_else(|| failed(&"the OPEN packet has no sid"))?;
    let url = format!("{url}&sid={sid}");
    let writer = tokio::spawn({
        let (http, url) = (http.clone(), url.clone());
        async move {
            while let Some(frame) = frames.recv().await {
                let mut packets = vec![frame];
                while let Ok(more) = frames.try_recv() {
                    packets.push(more);
                }
                let last = packets.iter().any(|frame| matches!(frame, Frame::Close));
                let texts = packets.into_iter().map(|frame| match frame {
                    Frame::Text(text) => text,
                    Frame::Binary(bytes) => format!("b{}", BASE64_STANDARD.encode(bytes)),
                    Frame::Close => "1".to_owned(),
                });
                let body = texts.collect::<Vec<_>>().join(&SEPARATOR.to_string());
                let sent = http
                    .post(&url)
                    .header("content-type", "text/plain;charset=UTF-8")
                    .body(body)
                    .send()
                    .await;
                if sent.is_err() || last {
                    break;
                }
            }
        }
    });
    let (http, shared) = (http.clone(), shared.clone());
    let reader = tokio::spawn(async move {
        'polls: while let Ok(response) = http.get(&url).timeout(std::time::Duration::from_secs(120)).send().await {
            if !response.status().is_success() {
                break;
            }
            let Ok(body) = Text::strictly_of(response).await else {
                break;
            };
            for packet in body.split(SEPARATOR) {
                match packet.chars().next() {
                    Some('2') => drop(out.send(Frame::Text("3".into()))),
                    Some('4') => shared.arrived(&packet[1..]),
                    Some('1') => break 'polls,
                    _ => {}
                }
            }
        }
        shared.closed("the polling session was closed");
    });
    Ok(vec![writer.abort_handle(), reader.abort_handle()])
}
