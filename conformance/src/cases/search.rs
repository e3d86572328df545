//! Search in messages.

use std::time::Duration;

use chat_spec::{Requirement, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Answer, Outcome, Stop, User, World};

cases!("search":
    a_literal_substring_is_found [
        SEARCH_MATCH_AT_ONCE, SEARCH_MATCH_SHORT, SEARCH_MATCH_SUBSTRING, SEARCH_ORDER_NEWEST_FIRST,
    ],
    case_does_not_matter [SEARCH_MATCH_ASCII_CASE, SEARCH_MATCH_UNICODE_CASE],
    special_characters_mean_themselves [SEARCH_MATCH_METACHARACTERS],
    search_keeps_to_ones_own_chats [
        SEARCH_SCOPE_CONVERSATION, SEARCH_SCOPE_OWN_CHATS, SEARCH_SCOPE_UNKNOWN_USER, SHAPES_MESSAGE_FIELDS,
    ],
    search_follows_edits_and_deletes [SEARCH_MATCH_AT_ONCE, SEARCH_SCOPE_NO_TOMBSTONES],
    bad_searches_are_refused [SEARCH_QUERY_LENGTH],
    search_pages [LISTS_CURSOR_GROWING, LISTS_CURSOR_WALK_COMPLETE, LISTS_LIMIT_DEFAULT],
);

/// How old a message is when it is looked for: an index may know nothing of it yet, or all.
const AGES: [Duration; 2] = [Duration::ZERO, Duration::from_secs(1)];

async fn find(user: &User, query: &str, more: &str) -> Result<Answer, Stop> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    user.get(&format!("/api/messages/search?q={encoded}{more}")).await
}

/// What is found, newest first. That it is answered at all belongs to what is judged.
async fn found(w: &World, requirement: &'static Requirement, user: &User, query: &str) -> Result<Vec<String>, Stop> {
    let answer = find(user, query, "").await?;
    w.items(requirement, &answer).map(contents)
}

fn contents(items: &[Value]) -> Vec<String> {
    let contents = items.iter().filter_map(|item| item["content"].as_str());
    contents.map(str::to_owned).collect()
}

async fn a_literal_substring_is_found(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let mut moments = Vec::new();
    for text in ["the quick brown fox", "a slow brown bear", "nothing here"] {
        moments.push(ann.must_send(&bob.id, text).await?["timestamp"].clone());
    }
    let page = find(&bob, "ow", "").await?;
    w.success(&req::SEARCH_MATCH_SUBSTRING, &page, 200, Some("MessagesResponse"))?;
    let mut found_first = contents(page.items()?);
    // Of two of one moment, none is the newer one.
    if moments[0] == moments[1] {
        found_first.sort_unstable();
    }
    w.equal(
        &req::SEARCH_ORDER_NEWEST_FIRST,
        "found",
        json!(["a slow brown bear", "the quick brown fox"]),
        json!(found_first),
    );
    w.equal(
        &req::SEARCH_MATCH_SUBSTRING,
        "ick br",
        json!(["the quick brown fox"]),
        json!(found(&w, &req::SEARCH_MATCH_SUBSTRING, &ann, "ick br").await?),
    );
    w.equal(
        &req::SEARCH_MATCH_SHORT,
        "x",
        json!(["the quick brown fox"]),
        json!(found(&w, &req::SEARCH_MATCH_SHORT, &ann, "x").await?),
    );
    w.equal(
        &req::SEARCH_MATCH_AT_ONCE,
        "brown",
        2,
        found(&w, &req::SEARCH_MATCH_AT_ONCE, &ann, "brown").await?.len(),
    );
    Ok(())
}

async fn case_does_not_matter(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "Hello World").await?;
    ann.must_send(&bob.id, "\u{c4}RGER in \u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}")
        .await?;
    w.equal(
        &req::SEARCH_MATCH_ASCII_CASE,
        "hELLO wORLD",
        1,
        found(&w, &req::SEARCH_MATCH_ASCII_CASE, &ann, "hELLO wORLD")
            .await?
            .len(),
    );
    for query in ["\u{e4}rger", "\u{43f}\u{420}\u{418}\u{412}"] {
        w.equal(
            &req::SEARCH_MATCH_UNICODE_CASE,
            query,
            1,
            found(&w, &req::SEARCH_MATCH_UNICODE_CASE, &ann, query).await?.len(),
        );
    }
    Ok(())
}

async fn special_characters_mean_themselves(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    ann.must_send(&bob.id, "plain texts only").await?;
    let odd = "100% (sure) [x] a_b .* \\d+ \"quoted\" 'single' OR NEAR^2 $gt {1}";
    ann.must_send(&bob.id, odd).await?;
    for query in [
        "(",
        "%",
        "_",
        "[x]",
        ".*",
        "\\d+",
        "\"quoted\"",
        "'",
        "OR",
        "NEAR^2",
        "$gt",
        "*",
        "100% (",
        "a_b",
        "{1}",
        "\\",
    ] {
        let page = find(&ann, query, "").await?;
        w.success(&req::SEARCH_MATCH_METACHARACTERS, &page, 200, Some("MessagesResponse"))?;
        w.equal(
            &req::SEARCH_MATCH_METACHARACTERS,
            query,
            json!([odd]),
            json!(contents(page.items()?)),
        );
    }
    for query in ["a.b", "p.*n", "pl_in", "x%s", "^plain", "\u{0}\u{0}\u{0}"] {
        w.equal(
            &req::SEARCH_MATCH_METACHARACTERS,
            query,
            json!([]),
            json!(found(&w, &req::SEARCH_MATCH_METACHARACTERS, &ann, query).await?),
        );
    }
    Ok(())
}

async fn search_keeps_to_ones_own_chats(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    ann.must_send(&bob.id, "needle for bob").await?;
    eve.must_send(&ann.id, "needle from eve").await?;
    // Before and after an index that is kept in the background knows them.
    for age in AGES {
        tokio::time::sleep(age).await;
        w.equal(
            &req::SEARCH_SCOPE_OWN_CHATS,
            "eve finds",
            json!(["needle from eve"]),
            json!(found(&w, &req::SEARCH_SCOPE_OWN_CHATS, &eve, "needle").await?),
        );
    }
    let narrowed = find(&ann, "needle", &format!("&userId={}", bob.id)).await?;
    w.equal(
        &req::SEARCH_SCOPE_CONVERSATION,
        "with bob",
        json!(["needle for bob"]),
        json!(contents(w.items(&req::SEARCH_SCOPE_CONVERSATION, &narrowed)?)),
    );
    let shown = narrowed.body["items"][0].clone();
    w.shaped(&req::SHAPES_MESSAGE_FIELDS, "Message", &shown);
    for id in ["ffffffffffffffffffffffff", "not-an-id%21"] {
        w.refused(
            &req::SEARCH_SCOPE_UNKNOWN_USER,
            &find(&ann, "needle", &format!("&userId={id}")).await?,
            404,
            "USER_NOT_FOUND",
        );
    }
    Ok(())
}

async fn search_follows_edits_and_deletes(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    // An index that is kept in the background does not know the first message yet when it is edited, but the second one.
    for age in AGES {
        let message = ann.must_send(&bob.id, "first wording").await?;
        let path = format!("/api/messages/{}", message["id"].as_str().unwrap_or_default());
        tokio::time::sleep(age).await;
        ann.put(&path, &json!({"content": "second phrasing"}))
            .await?
            .succeeded()?;
        w.equal(
            &req::SEARCH_MATCH_AT_ONCE,
            "the new content",
            1,
            found(&w, &req::SEARCH_MATCH_AT_ONCE, &bob, "phrasing").await?.len(),
        );
        w.equal(
            &req::SEARCH_MATCH_AT_ONCE,
            "the old content",
            0,
            found(&w, &req::SEARCH_MATCH_AT_ONCE, &bob, "wording").await?.len(),
        );
        ann.delete(&path).await?.succeeded()?;
        for user in [&ann, &bob] {
            w.equal(
                &req::SEARCH_SCOPE_NO_TOMBSTONES,
                "a deleted message",
                0,
                found(&w, &req::SEARCH_SCOPE_NO_TOMBSTONES, user, "phrasing")
                    .await?
                    .len(),
            );
        }
    }
    Ok(())
}

async fn bad_searches_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    w.invalid(
        &req::SEARCH_QUERY_LENGTH,
        &ann.get("/api/messages/search").await?,
        &["q"],
    );
    w.invalid(
        &req::SEARCH_QUERY_LENGTH,
        &ann.get("/api/messages/search?q=").await?,
        &["q"],
    );
    w.invalid(
        &req::SEARCH_QUERY_LENGTH,
        &find(&ann, &"q".repeat(101), "").await?,
        &["q"],
    );
    w.success(
        &req::SEARCH_QUERY_LENGTH,
        &find(&ann, &"\u{1f600}".repeat(100), "").await?,
        200,
        None,
    )
}

async fn search_pages(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    // More than are shown when nobody says how many.
    let mut expected = Vec::new();
    for number in 0..52 {
        let text = format!("page {number}");
        ann.must_send(&bob.id, &text).await?;
        expected.push(text);
    }
    expected.sort_unstable();
    let page = find(&ann, "page", "").await?;
    w.check(
        &req::LISTS_LIMIT_DEFAULT,
        (1..=50).contains(&page.items()?.len()),
        "at most 50 of 52",
        page.items()?.len(),
    );
    for (requirement, grows) in [
        (&req::LISTS_CURSOR_WALK_COMPLETE, false),
        (&req::LISTS_CURSOR_GROWING, true),
    ] {
        let mut seen = Vec::new();
        let mut more = "&limit=20".to_owned();
        for _ in 0..expected.len() {
            let page = find(&ann, "page", &more).await?;
            seen.extend(contents(w.items(requirement, &page)?));
            let Some(cursor) = page.cursor() else { break };
            more = format!("&limit=20&cursor={cursor}");
            if grows {
                bob.must_send(&ann.id, "one more page").await?;
            }
        }
        // What came while it was walked may be seen or not.
        seen.retain(|text| text != "one more page");
        // In which order those of one moment come is judged nowhere: two of them may have the same timestamp.
        seen.sort_unstable();
        w.check(
            requirement,
            seen == expected,
            format!("{expected:?}"),
            format!("{seen:?}"),
        );
    }
    Ok(())
}
