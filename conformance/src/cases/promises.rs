//! What must survive.

use std::collections::BTreeSet;

use chat_spec::{Profile, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, Stop, User, World};

cases!("promises":
    what_was_acknowledged_survives_a_crash [PROMISES_DURABLE_CRASH, PROMISES_SEQ_GAPLESS],
);

async fn what_was_acknowledged_survives_a_crash(w: World) -> Outcome {
    let secrets = [
        ("--jwt-secret", "one secret for this case, longer than 32 bytes"),
        ("--jwt-refresh-secret", "another secret for this case, over 32 bytes"),
    ];
    let mut server = super::launch(&w, &secrets).await?;
    let (mut ann, mut bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let device = ann.device().await?;
        let acks: Vec<_> = (0..60)
            .map(|number| {
                device.ask_later(
                    "send_message",
                    json!({"to": bob.id, "content": format!("{round} {number}")}),
                )
            })
            .collect();
        for (number, ack) in acks.into_iter().enumerate() {
            if number == 40 {
                break;
            }
            acknowledged.extend(ack.await.unwrap_or_default()["messageId"].as_str().map(str::to_owned));
        }
        server = server.crash_and_restart().await.map_err(super::inconclusive)?;
        (ann, bob) = (ann.at(&server.base), bob.at(&server.base));
        let history = newest_first(&w, &bob, &ann).await?;
        let stored: BTreeSet<&str> = history.iter().filter_map(|message| message["id"].as_str()).collect();
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !stored.contains(id.as_str())).collect();
        w.check(
            &req::PROMISES_DURABLE_CRASH,
            lost.is_empty(),
            format!("all {} messages that were acknowledged", acknowledged.len()),
            format!("all but {lost:?}"),
        );
        if w.target.claims(Profile::Recovery) {
            let seqs: Vec<u64> = (history.iter().rev())
                .filter_map(|message| message["seq"].as_u64())
                .collect();
            let gapless = seqs.iter().copied().eq(1..=history.len() as u64);
            w.check(&req::PROMISES_SEQ_GAPLESS, gapless, "1, 2, 3 …", format!("{seqs:?}"));
        }
    }
    Ok(())
}

/// All of a conversation.
async fn newest_first(w: &World, viewer: &User, peer: &User) -> Result<Vec<Value>, Stop> {
    let mut history = Vec::new();
    let mut query = "?limit=100".to_owned();
    for _ in 0..super::MOST_PAGES {
        let page = viewer.conversation(peer, &query).await?;
        w.success(&req::PROMISES_DURABLE_CRASH, &page, 200, Some("ConversationResponse"))?;
        history.extend(page.items()?.iter().cloned());
        // Whoever has more to show shows it.
        let is_empty = page.items()?.is_empty();
        let next = page.cursor().filter(|_| !is_empty);
        let Some(cursor) = next else { return Ok(history) };
        query = format!("?limit=100&cursor={cursor}");
    }
    Err(super::endless())
}
