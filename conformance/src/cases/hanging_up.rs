//! Whoever asks for something may hang up before the answer. Then it is done or not done; but when it is done, whom it concerns is told.

use std::time::{Duration, Instant};

use chat_spec::{Requirement, req};
use serde_json::{Value, json};

use super::newest_messages;
use crate::cases;
use crate::engine::{Device, Outcome, Request, User, World};

cases!("hanging up":
    what_is_done_for_one_who_hung_up_is_told [
        DELETE_EVENT_BOTH_SIDES, EDIT_EVENT_BOTH_SIDES, READ_EVENT_SENDER_DEVICES,
    ],
);

/// Times at which one hangs up, spread over what an answer takes and a third more.
const TIMES: u32 = 12;

/// Something that is asked for, and how it is seen that it was done.
struct Deed {
    requirement: &'static Requirement,
    event: &'static str,
    is_done: fn(&Value) -> bool,
}

async fn what_is_done_for_one_who_hung_up_is_told(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let (of_ann, of_bob) = (ann.device().await?, bob.device().await?);
    let (content, read) = (json!({"content": "changed"}), "/api/messages/mark-read");
    let edits = Deed {
        requirement: &req::EDIT_EVENT_BOTH_SIDES,
        event: "message_edited",
        is_done: |message| message["editedAt"].is_string(),
    };
    let edit = |message: &str| ann.request("PUT", &path(message)).json(&content);
    edits.judge(&w, [&ann, &bob], &of_bob, edit).await?;
    let reads = Deed {
        requirement: &req::READ_EVENT_SENDER_DEVICES,
        event: "message_read",
        is_done: |message| message["readAt"].is_string(),
    };
    let mark = |message: &str| bob.request("POST", read).json(&json!({"messageIds": [message]}));
    reads.judge(&w, [&ann, &bob], &of_ann, mark).await?;
    let deletions = Deed {
        requirement: &req::DELETE_EVENT_BOTH_SIDES,
        event: "message_deleted",
        is_done: |message| message["deletedAt"].is_string(),
    };
    let delete = |message: &str| ann.request("DELETE", &path(message));
    deletions.judge(&w, [&ann, &bob], &of_bob, delete).await
}

fn path(message: &str) -> String {
    format!("/api/messages/{message}")
}

impl Deed {
    /// Asks for it for a message after the other, and hangs up earlier or later; of those for which it was done the other user's
    /// device hears.
    async fn judge(
        &self,
        w: &World,
        [ann, bob]: [&User; 2],
        device: &Device,
        ask: impl Fn(&str) -> Request,
    ) -> Outcome {
        if !w.target.claims(self.requirement.profile) {
            return Ok(());
        }
        let known = ann.must_send(&bob.id, "in peace").await?;
        let began = Instant::now();
        ask(id(&known)).send().await?.succeeded()?;
        let takes = began.elapsed();
        for time in 1..=TIMES {
            let message = ann.must_send(&bob.id, "in a hurry").await?;
            let patience: Duration = takes * 4 * time / (3 * TIMES);
            ask(id(&message)).hang_up_after(patience).await?;
        }
        // What a server only then gets to is not looked for.
        let messages = newest_messages(ann, bob).await?;
        for message in messages
            .as_array()
            .into_iter()
            .flatten()
            .filter(|message| (self.is_done)(message))
        {
            let is_it = |told: &Value| [&told["messageId"], &told["message"]["id"]].contains(&&message["id"]);
            let told = device.take(self.event, is_it).await.is_some();
            let expected = format!("{} at {}", self.event, device.label());
            w.check(
                self.requirement,
                told,
                expected,
                "done for one who hung up, and not told",
            );
            if !told {
                break;
            }
        }
        Ok(())
    }
}

fn id(message: &Value) -> &str {
    message["id"].as_str().unwrap_or_default()
}
