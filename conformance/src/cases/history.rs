//! Conversations, the list of chats, pages and cursors.

use std::collections::BTreeSet;

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, Stop, User, World, escaped};

cases!("history":
    a_conversation_comes_newest_first [
        CONVERSATION_BOTH_SAME, CONVERSATION_ORDER_NEWEST_FIRST, CONVERSATION_TOMBSTONES_INCLUDED,
        LISTS_CURSOR_LAST_PAGE_NULL, PROMISES_SEQ_GAPLESS, SHAPES_MESSAGE_TOMBSTONE,
    ],
    a_conversation_without_a_chat [
        CONVERSATION_NONE_NULL_CHAT, CONVERSATION_PEER_UNKNOWN, LISTS_CURSOR_LAST_PAGE_NULL,
    ],
    catch_up_ascends [
        CONVERSATION_AFTER_ASCENDING, CONVERSATION_AFTER_CURSOR_GOES_ON, CONVERSATION_AFTER_EXACT,
        CONVERSATION_AFTER_INVALID,
    ],
    bad_queries_are_refused [LISTS_CURSOR_BROKEN, LISTS_LIMIT_RANGE],
    pages_are_complete_while_a_list_grows [
        LISTS_CURSOR_GROWING, LISTS_CURSOR_LAST_PAGE_NULL, LISTS_CURSOR_WALK_COMPLETE, LISTS_LIMIT_DEFAULT,
    ],
    cursors_belong_to_their_list [
        LISTS_CURSOR_BROKEN, LISTS_CURSOR_LAST_PAGE_NULL, LISTS_CURSOR_OTHER_LIST, LISTS_CURSOR_WALK_COMPLETE,
    ],
    the_list_of_chats [
        CHATS_LIST_ORDER, CHATS_LIST_OWN, CHATS_LIST_PEER_VIEW, CHATS_UNREAD_COUNTS, DELETE_UNREAD_NOT_COUNTED,
        SHAPES_CHAT_EXISTS_FROM_FIRST_MESSAGE, SHAPES_CHAT_FIELDS, SHAPES_CHAT_LAST_ACTIVITY, SHAPES_CHAT_LAST_MESSAGE,
        SHAPES_CHAT_PARTICIPANTS, SHAPES_CHAT_UNREAD_COUNT, SHAPES_CHAT_UNREAD_OWN_NOT_COUNTED,
    ],
    chats_walk_while_they_move [LISTS_CURSOR_GROWING],
    strangers_see_nothing [CONVERSATION_PRIVATE_STRANGERS],
);

/// Sends so many numbered messages.
async fn fill(from: &User, to: &User, count: usize) -> Result<Vec<Value>, Stop> {
    let mut sent = Vec::new();
    for number in 0..count {
        sent.push(from.must_send(&to.id, &format!("message {number}")).await?);
    }
    Ok(sent)
}

fn seqs(items: &[Value]) -> Vec<u64> {
    items.iter().filter_map(|item| item["seq"].as_u64()).collect()
}

fn contents(items: &[Value]) -> Vec<String> {
    let texts = items.iter().filter_map(|item| item["content"].as_str());
    texts.map(str::to_owned).collect()
}

async fn a_conversation_comes_newest_first(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let sent = fill(&ann, &bob, 3).await?;
    bob.must_send(&ann.id, "answer").await?;
    ann.delete(&format!("/api/messages/{}", sent[1]["id"].as_str().unwrap_or_default()))
        .await?
        .succeeded()?;
    let page = ann.conversation(&bob, "").await?;
    w.success(
        &req::CONVERSATION_ORDER_NEWEST_FIRST,
        &page,
        200,
        Some("ConversationResponse"),
    )?;
    w.equal(
        &req::CONVERSATION_ORDER_NEWEST_FIRST,
        "contents",
        json!(["answer", "message 2", "", "message 0"]),
        json!(contents(page.items()?)),
    );
    w.equal(
        &req::PROMISES_SEQ_GAPLESS,
        "seqs",
        json!([4, 3, 2, 1]),
        json!(seqs(page.items()?)),
    );
    let tomb = &page.body["items"][2];
    w.check(
        &req::CONVERSATION_TOMBSTONES_INCLUDED,
        tomb["content"] == "" && tomb["deletedAt"].is_string(),
        "a tombstone",
        tomb,
    );
    w.check(
        &req::SHAPES_MESSAGE_TOMBSTONE,
        tomb["content"] == "" && tomb["deletedAt"].is_string(),
        "content \"\" and deletedAt",
        tomb,
    );
    let theirs = bob.conversation(&ann, "").await?;
    w.equal(
        &req::CONVERSATION_BOTH_SAME,
        "chatId and contents",
        json!([page.body["chatId"], contents(page.items()?)]),
        json!([
            theirs.body["chatId"],
            contents(w.items(&req::CONVERSATION_BOTH_SAME, &theirs)?)
        ]),
    );
    w.equal(
        &req::LISTS_CURSOR_LAST_PAGE_NULL,
        "nextCursor",
        Value::Null,
        page.body["nextCursor"].clone(),
    );
    Ok(())
}

async fn a_conversation_without_a_chat(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    for peer in [&bob, &ann] {
        let page = ann.conversation(peer, "").await?;
        w.success(
            &req::CONVERSATION_NONE_NULL_CHAT,
            &page,
            200,
            Some("ConversationResponse"),
        )?;
        w.check(
            &req::CONVERSATION_NONE_NULL_CHAT,
            page.body["chatId"].is_null() && page.items()?.is_empty(),
            "null and []",
            &page.text,
        );
        w.equal(
            &req::LISTS_CURSOR_LAST_PAGE_NULL,
            "nextCursor",
            Value::Null,
            page.body["nextCursor"].clone(),
        );
    }
    for id in ["ffffffffffffffffffffffff", "not%20an%20id", "%00", "..%2f"] {
        let answer = ann.get(&format!("/api/messages/conversation/{id}")).await?;
        w.refused(&req::CONVERSATION_PEER_UNKNOWN, &answer, 404, "USER_NOT_FOUND");
    }
    Ok(())
}

async fn catch_up_ascends(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let sent = fill(&ann, &bob, 7).await?;
    ann.delete(&format!("/api/messages/{}", sent[4]["id"].as_str().unwrap_or_default()))
        .await?
        .succeeded()?;
    let first = bob.conversation(&ann, "?after=2&limit=3").await?;
    w.success(
        &req::CONVERSATION_AFTER_ASCENDING,
        &first,
        200,
        Some("ConversationResponse"),
    )?;
    w.equal(
        &req::CONVERSATION_AFTER_ASCENDING,
        "seqs",
        json!([3, 4, 5]),
        json!(seqs(first.items()?)),
    );
    let next = bob
        .conversation(&ann, &format!("?limit=3&cursor={}", first.cursor().unwrap_or_default()))
        .await?;
    w.equal(
        &req::CONVERSATION_AFTER_CURSOR_GOES_ON,
        "seqs",
        json!([6, 7]),
        json!(seqs(next.items()?)),
    );
    w.check(
        &req::CONVERSATION_AFTER_EXACT,
        first.body["items"][2]["deletedAt"].is_string(),
        "the tombstone in its place",
        &first.text,
    );
    let all = bob.conversation(&ann, "?after=0").await?;
    w.equal(
        &req::CONVERSATION_AFTER_EXACT,
        "seqs",
        json!([1, 2, 3, 4, 5, 6, 7]),
        json!(seqs(all.items()?)),
    );
    w.equal(
        &req::CONVERSATION_AFTER_EXACT,
        "nothing missed",
        json!([]),
        bob.conversation(&ann, "?after=7").await?.good()?.body["items"].clone(),
    );
    for bad in ["-1", "x", "1.5", ""] {
        w.invalid(
            &req::CONVERSATION_AFTER_INVALID,
            &bob.conversation(&ann, &format!("?after={bad}")).await?,
            &["after"],
        );
    }
    Ok(())
}

async fn bad_queries_are_refused(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let lists = [
        format!("/api/messages/conversation/{}?", ann.id),
        "/api/messages/chats?".into(),
        "/api/messages/search?q=a&".into(),
        "/api/users/online?".into(),
        "/api/users/search?q=a&".into(),
    ];
    for list in &lists {
        for bad in ["0", "-1", "101", "ten", "1.5", "", "99999999999999999999"] {
            w.invalid(
                &req::LISTS_LIMIT_RANGE,
                &ann.get(&format!("{list}limit={bad}")).await?,
                &["limit"],
            );
        }
        for bad in ["garbage", "%F0%9F%98%80", "AAAA", "1"] {
            w.invalid(
                &req::LISTS_CURSOR_BROKEN,
                &ann.get(&format!("{list}cursor={bad}")).await?,
                &["cursor"],
            );
        }
        w.success(
            &req::LISTS_LIMIT_RANGE,
            &ann.get(&format!("{list}limit=1")).await?,
            200,
            None,
        )?;
    }
    w.invalid(
        &req::LISTS_LIMIT_RANGE,
        &ann.get("/api/users/search?q=a&limit=51").await?,
        &["limit"],
    );
    Ok(())
}

async fn pages_are_complete_while_a_list_grows(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    fill(&ann, &bob, 55).await?;
    let default = ann.conversation(&bob, "").await?;
    let items = w.items(&req::LISTS_LIMIT_DEFAULT, &default)?;
    w.equal(&req::LISTS_LIMIT_DEFAULT, "items", 50, items.len());
    w.check(
        &req::LISTS_CURSOR_LAST_PAGE_NULL,
        default.body["nextCursor"].is_string(),
        "a cursor when there is more",
        &default.body["nextCursor"],
    );
    let mut seen = Vec::new();
    let mut query = "?limit=20".to_owned();
    loop {
        let page = ann.conversation(&bob, &query).await?;
        seen.extend(contents(w.items(&req::LISTS_CURSOR_GROWING, &page)?));
        ann.must_send(&bob.id, "meanwhile").await?;
        let Some(cursor) = page.cursor() else { break };
        query = format!("?limit=20&cursor={cursor}");
        if seen.len() > 200 {
            break;
        }
    }
    let expected: Vec<String> = (0..55).rev().map(|number| format!("message {number}")).collect();
    w.check(
        &req::LISTS_CURSOR_GROWING,
        seen == expected,
        "message 54 to 0, each once",
        format!("{seen:?}"),
    );
    w.check(
        &req::LISTS_CURSOR_WALK_COMPLETE,
        seen == expected,
        "message 54 to 0, each once",
        format!("{seen:?}"),
    );
    Ok(())
}

async fn cursors_belong_to_their_list(w: World) -> Outcome {
    // Two whose names begin in the same way, so that there is a second page of them.
    let (ann, bob) = (w.user("paged").await?, w.user("paged").await?);
    let eve = w.user("eve").await?;
    let ann = ann.at(ann.node());
    fill(&ann, &bob, 2).await?;
    fill(&eve, &ann, 2).await?;
    let (here, _there) = (ann.device().await?, bob.device().await?);
    here.must_take("user_online", |p| p["userId"] == bob.id.as_str())
        .await?;
    let with = |peer: &User| format!("/api/messages/conversation/{}?limit=1", peer.id);
    let (chats, found) = ("/api/messages/chats?limit=1", "/api/messages/search?q=message&limit=1");
    let (online, named) = ("/api/users/online?limit=1", "/api/users/search?q=paged&limit=1");
    let lists = [with(&bob), chats.into(), found.into(), online.into(), named.into()];
    // What a list shows depends on whose it is, but for the lists of people, which are one for all.
    let of_others = [with(&ann), chats.into(), found.into()];
    for (own, list) in lists.iter().enumerate() {
        let page = ann.get(list).await?;
        let cursor = page.body["nextCursor"].as_str().unwrap_or_default();
        let expected = format!("a cursor of {list}");
        w.need(
            &req::LISTS_CURSOR_LAST_PAGE_NULL,
            !cursor.is_empty(),
            expected,
            &page.text,
        )?;
        let from = |who: &User, list: &str, cursor: &str| {
            let path = format!("{list}&cursor={}", escaped(cursor));
            let who = who.clone();
            async move { who.get(&path).await }
        };
        // Otherwise a server that refuses every cursor would do.
        let next = from(&ann, list, cursor).await?;
        w.success(&req::LISTS_CURSOR_WALK_COMPLETE, &next, 200, None)?;
        let mut cut = cursor.to_owned();
        cut.pop();
        let cut = from(&ann, list, &cut).await?;
        w.invalid(&req::LISTS_CURSOR_BROKEN, &cut, &["cursor"]);
        let others = lists.iter().enumerate().filter(|(other, _)| *other != own);
        let others = others.map(|(_, other)| (&ann, other.clone()));
        let others = others.chain([(&ann, with(&eve))]);
        for (who, other) in others.chain(of_others.iter().map(|other| (&eve, other.clone()))) {
            let answer = from(who, &other, cursor).await?;
            w.invalid(&req::LISTS_CURSOR_OTHER_LIST, &answer, &["cursor"]);
        }
    }
    Ok(())
}

async fn the_list_of_chats(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let none = ann.get("/api/messages/chats").await?;
    w.success(
        &req::SHAPES_CHAT_EXISTS_FROM_FIRST_MESSAGE,
        &none,
        200,
        Some("ChatsResponse"),
    )?;
    w.check(
        &req::SHAPES_CHAT_EXISTS_FROM_FIRST_MESSAGE,
        none.items()?.is_empty(),
        "no chats",
        &none.text,
    );
    bob.must_send(&ann.id, "from bob").await?;
    eve.must_send(&ann.id, "from eve").await?;
    let last = eve.must_send(&ann.id, "again").await?;
    ann.must_send(&eve.id, "mine").await?;
    let list = ann.get("/api/messages/chats").await?;
    w.success(&req::CHATS_LIST_OWN, &list, 200, Some("ChatsResponse"))?;
    let peers: Vec<BTreeSet<&str>> = list
        .items()?
        .iter()
        .map(|chat| {
            chat["participants"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|p| p["id"].as_str())
                .collect()
        })
        .collect();
    let expected: Vec<BTreeSet<&str>> = [&eve, &bob]
        .map(|peer| BTreeSet::from([ann.id.as_str(), peer.id.as_str()]))
        .into();
    w.check(
        &req::CHATS_LIST_ORDER,
        peers == expected,
        "eve, then bob",
        format!("{peers:?}"),
    );
    w.check(
        &req::CHATS_LIST_OWN,
        list.items()?.len() == 2,
        "two chats",
        list.items()?.len(),
    );
    w.check(
        &req::SHAPES_CHAT_PARTICIPANTS,
        peers == expected,
        "the two of each chat",
        format!("{peers:?}"),
    );
    let chat = &list.body["items"][0];
    w.shaped(&req::SHAPES_CHAT_FIELDS, "Chat", chat);
    w.equal(
        &req::SHAPES_CHAT_LAST_MESSAGE,
        "lastMessage.content",
        "mine",
        chat["lastMessage"]["content"].clone(),
    );
    w.equal(
        &req::SHAPES_CHAT_LAST_ACTIVITY,
        "lastActivity",
        chat["lastMessage"]["timestamp"].clone(),
        chat["lastActivity"].clone(),
    );
    w.equal(
        &req::SHAPES_CHAT_UNREAD_COUNT,
        "unreadCount",
        2,
        chat["unreadCount"].clone(),
    );
    w.equal(&req::CHATS_UNREAD_COUNTS, "unreadCount", 2, chat["unreadCount"].clone());
    let theirs = eve.get("/api/messages/chats").await?;
    w.equal(
        &req::CHATS_LIST_PEER_VIEW,
        "id",
        chat["id"].clone(),
        theirs.body["items"][0]["id"].clone(),
    );
    w.equal(
        &req::SHAPES_CHAT_UNREAD_OWN_NOT_COUNTED,
        "unreadCount",
        1,
        theirs.body["items"][0]["unreadCount"].clone(),
    );
    w.check(
        &req::CHATS_LIST_OWN,
        theirs.items()?.len() == 1,
        "one chat",
        theirs.items()?.len(),
    );
    eve.delete(&format!("/api/messages/{}", last["id"].as_str().unwrap_or_default()))
        .await?
        .succeeded()?;
    let after = ann.get("/api/messages/chats").await?;
    w.equal(
        &req::DELETE_UNREAD_NOT_COUNTED,
        "unreadCount",
        1,
        after.body["items"][0]["unreadCount"].clone(),
    );
    Ok(())
}

async fn chats_walk_while_they_move(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let mut peers = Vec::new();
    for number in 0..5 {
        let peer = w.user(&format!("p{number}")).await?;
        peer.must_send(&ann.id, "hello").await?;
        peers.push(peer);
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = ann.get(&format!("/api/messages/chats{query}")).await?;
        w.success(&req::LISTS_CURSOR_GROWING, &page, 200, Some("ChatsResponse"))?;
        seen.extend(
            page.items()?
                .iter()
                .filter_map(|chat| chat["id"].as_str().map(str::to_owned)),
        );
        let Some(cursor) = page.cursor() else { break };
        query = format!("?limit=2&cursor={cursor}");
        // The last chat moves to the front while the list is walked.
        peers[0].must_send(&ann.id, "again").await?;
        if seen.len() > 20 {
            break;
        }
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    w.check(
        &req::LISTS_CURSOR_GROWING,
        seen.len() == 5 && distinct.len() == 5,
        "5 chats, each once",
        format!("{seen:?}"),
    );
    Ok(())
}

async fn strangers_see_nothing(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    ann.must_send(&bob.id, "a secret between two").await?;
    for peer in [&ann, &bob] {
        let page = eve.conversation(peer, "").await?;
        w.items(&req::CONVERSATION_PRIVATE_STRANGERS, &page)?;
        w.check(
            &req::CONVERSATION_PRIVATE_STRANGERS,
            !page.text.contains("secret") && page.body["chatId"].is_null(),
            "nothing",
            &page.text,
        );
    }
    for path in ["/api/messages/chats", "/api/messages/search?q=secret"] {
        let page = eve.get(path).await?;
        w.check(
            &req::CONVERSATION_PRIVATE_STRANGERS,
            w.items(&req::CONVERSATION_PRIVATE_STRANGERS, &page)?.is_empty(),
            "nothing",
            &page.text,
        );
    }
    Ok(())
}
