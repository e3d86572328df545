//! What must survive.

use chat_spec::req;
use serde_json::json;

use crate::cases;
use crate::engine::{Outcome, World};

cases!("promises":
    what_was_acknowledged_survives_a_crash for Recovery [PROMISES_DURABLE_CRASH, PROMISES_SEQ_GAPLESS],
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
    let mut acknowledged = 0u64;
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
            acknowledged = ack.await.unwrap_or_default()["seq"].as_u64().unwrap_or(acknowledged);
        }
        server = server.crash_and_restart().await.map_err(super::inconclusive)?;
        (ann, bob) = (ann.at(&server.base), bob.at(&server.base));
        let mut seqs = Vec::new();
        loop {
            let page = bob
                .conversation(&ann, &format!("?after={}&limit=100", seqs.last().copied().unwrap_or(0)))
                .await?;
            w.success(&req::PROMISES_DURABLE_CRASH, &page, 200, Some("ConversationResponse"))?;
            if page.items().is_empty() {
                break;
            }
            seqs.extend(page.items().iter().filter_map(|m| m["seq"].as_u64()));
        }
        let gapless = seqs.iter().copied().eq(1..=seqs.len() as u64);
        w.check(&req::PROMISES_SEQ_GAPLESS, gapless, "1, 2, 3 …", format!("{seqs:?}"));
        w.check(
            &req::PROMISES_DURABLE_CRASH,
            seqs.len() as u64 >= acknowledged,
            format!("at least {acknowledged} messages"),
            seqs.len(),
        );
    }
    Ok(())
}
