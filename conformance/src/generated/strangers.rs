//! Every place that takes an id, with an id of somebody else's and with ids of other kinds of things.

use chat_spec::{Operation, Requirement, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, UNKNOWN, path_to, text};
use crate::cases;
use crate::engine::{Answer, Outcome, Stop, User, World};

cases!("strangers":
    every_id_of_somebody_else_is_an_id_of_nothing [
        DELETE_RIGHTS_STRANGER, EDIT_RIGHTS_STRANGER, JOIN_STRANGER_NOT_FOUND, PROMISES_PRIVATE_EXISTENCE,
        READ_CHAT_UNKNOWN, READ_STRANGER_REFUSED, RECEIPT_RIGHTS_STRANGER, SEND_CHAT_MISMATCH,
    ],
    every_id_of_another_kind_is_an_id_of_nothing [
        CONVERSATION_PEER_UNKNOWN, EDIT_MISSING_NOT_FOUND, READ_CHAT_UNKNOWN, READ_UNKNOWN_REFUSED,
        SEARCH_SCOPE_UNKNOWN_USER, SEND_TO_UNKNOWN, USERS_GET_UNKNOWN, USERS_STATUS_UNKNOWN,
    ],
    nothing_of_others_is_listed [CONVERSATION_PRIVATE_STRANGERS, SEARCH_SCOPE_OWN_CHATS],
    hostile_ids_are_ids_of_nothing [ERRORS_HOSTILE_NO_5XX, IDS_HOSTILE_NO_5XX, IDS_MALFORMED_SAME_AS_UNKNOWN],
);

/// Numbers that are shorter may be counters.
const SHORT: usize = 8;

/// What a stranger asks of an id, by every call that takes one in its path, body or query.
async fn by_rest(stranger: &User, peer: &str, message: &str, chat: &str) -> Result<Vec<(&'static str, Answer)>, Stop> {
    let mark = "/api/messages/mark-read";
    Ok(vec![
        (
            "editMessage",
            stranger
                .put(&path_to(Operation::EditMessage, message), &json!({"content": "x"}))
                .await?,
        ),
        (
            "deleteMessage",
            stranger.delete(&path_to(Operation::DeleteMessage, message)).await?,
        ),
        (
            "markRead messageIds",
            stranger.post(mark, &json!({"messageIds": [message]})).await?,
        ),
        ("markRead chatId", stranger.post(mark, &json!({"chatId": chat})).await?),
        (
            "sendMessage chatId",
            stranger
                .post(
                    "/api/messages/send",
                    &json!({"to": peer, "content": "x", "chatId": chat}),
                )
                .await?,
        ),
    ])
}

/// What differs between two answers must not tell anything: without the id of the request.
fn bare(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("requestId");
    }
    body.to_string()
}

fn requirement_of(call: &str) -> &'static Requirement {
    match call {
        "editMessage" => &req::EDIT_RIGHTS_STRANGER,
        "deleteMessage" => &req::DELETE_RIGHTS_STRANGER,
        "markRead messageIds" => &req::READ_STRANGER_REFUSED,
        "markRead chatId" => &req::READ_CHAT_UNKNOWN,
        _ => &req::SEND_CHAT_MISMATCH,
    }
}

async fn every_id_of_somebody_else_is_an_id_of_nothing(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let before = f.state().await?;
    let eve = w.user("eve").await?;
    // A stranger who has a chat with one of the two is one all the same.
    let known = w.user("kay").await?;
    known.must_send(&f.bob.id, "hello").await?;
    for stranger in [&eve, &known] {
        let theirs = by_rest(stranger, &f.ann.id, text(&f.sent["id"]), text(&f.sent["chatId"])).await?;
        let nothing = by_rest(stranger, &f.ann.id, UNKNOWN, UNKNOWN).await?;
        for ((call, theirs), (_, nothing)) in theirs.iter().zip(&nothing) {
            let (status, code) = match *call {
                "markRead chatId" => (404, "CHAT_NOT_FOUND"),
                "sendMessage chatId" => (400, "CHAT_MISMATCH"),
                _ => (404, "MESSAGE_NOT_FOUND"),
            };
            w.refused(requirement_of(call), theirs, status, code);
            let same = theirs.status == nothing.status && bare(&theirs.body) == bare(&nothing.body);
            w.check(
                &req::PROMISES_PRIVATE_EXISTENCE,
                same,
                format!("{call}: {}", nothing.text),
                &theirs.text,
            );
        }
        let device = stranger.device().await?;
        let receipt = |message: &Value, chat: &Value| json!({"messageId": message, "chatId": chat});
        let unknown = json!(UNKNOWN);
        for (requirement, event, theirs, nothing, code) in [
            (
                &req::JOIN_STRANGER_NOT_FOUND,
                "join_chat",
                json!({"chatId": f.sent["chatId"]}),
                json!({"chatId": UNKNOWN}),
                "CHAT_NOT_FOUND",
            ),
            (
                &req::RECEIPT_RIGHTS_STRANGER,
                "read_receipt",
                receipt(&f.sent["id"], &f.sent["chatId"]),
                receipt(&unknown, &unknown),
                "MESSAGE_NOT_FOUND",
            ),
            (
                &req::RECEIPT_RIGHTS_STRANGER,
                "read_receipt",
                receipt(&f.received["id"], &unknown),
                receipt(&unknown, &unknown),
                "MESSAGE_NOT_FOUND",
            ),
            (
                &req::SEND_CHAT_MISMATCH,
                "send_message",
                json!({"to": f.ann.id, "content": "x", "chatId": f.sent["chatId"]}),
                json!({"to": f.ann.id, "content": "x", "chatId": UNKNOWN}),
                "CHAT_MISMATCH",
            ),
        ] {
            let theirs = device.ask(event, theirs).await?;
            w.refused_ack(requirement, &theirs, code);
            let nothing = device.ask(event, nothing).await?;
            let same = bare(&theirs["error"]) == bare(&nothing["error"]);
            w.check(
                &req::PROMISES_PRIVATE_EXISTENCE,
                same,
                format!("{event}: {nothing}"),
                &theirs,
            );
        }
    }
    w.equal(&req::EDIT_RIGHTS_STRANGER, "state", before, f.state().await?);
    Ok(())
}

async fn every_id_of_another_kind_is_an_id_of_nothing(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let (user, message, chat) = (
        f.bob.id.clone(),
        text(&f.sent["id"]).to_owned(),
        text(&f.sent["chatId"]).to_owned(),
    );
    // A number of one kind may be one of another too, where each kind is counted by itself: ids of nothing are judged elsewhere.
    let is_counter = |id: &&String| id.len() < SHORT && id.bytes().all(|byte| byte.is_ascii_digit());
    if [&user, &message, &chat].iter().any(is_counter) {
        return Err(Stop::NotApplicable(
            "its ids are numbers, which may be the same from kind to kind".into(),
        ));
    }
    for id in [&user, &chat] {
        let edit = f
            .ann
            .put(&path_to(Operation::EditMessage, id), &json!({"content": "x"}))
            .await?;
        w.refused(&req::EDIT_MISSING_NOT_FOUND, &edit, 404, "MESSAGE_NOT_FOUND");
        let delete = f.ann.delete(&path_to(Operation::DeleteMessage, id)).await?;
        w.refused(&req::EDIT_MISSING_NOT_FOUND, &delete, 404, "MESSAGE_NOT_FOUND");
        let mark = f
            .ann
            .post("/api/messages/mark-read", &json!({"messageIds": [id]}))
            .await?;
        w.refused(&req::READ_UNKNOWN_REFUSED, &mark, 404, "MESSAGE_NOT_FOUND");
    }
    for id in [&user, &message] {
        let mark = f.ann.post("/api/messages/mark-read", &json!({"chatId": id})).await?;
        w.refused(&req::READ_CHAT_UNKNOWN, &mark, 404, "CHAT_NOT_FOUND");
    }
    for id in [&message, &chat] {
        for (requirement, path) in [
            (&req::USERS_GET_UNKNOWN, path_to(Operation::GetUser, id)),
            (&req::USERS_STATUS_UNKNOWN, path_to(Operation::GetUserStatus, id)),
            (&req::CONVERSATION_PEER_UNKNOWN, path_to(Operation::GetConversation, id)),
            (
                &req::SEARCH_SCOPE_UNKNOWN_USER,
                format!("/api/messages/search?q=from&userId={id}"),
            ),
        ] {
            w.refused(requirement, &f.ann.get(&path).await?, 404, "USER_NOT_FOUND");
        }
        w.refused(
            &req::SEND_TO_UNKNOWN,
            &f.ann.send(id, "x").await?,
            404,
            "USER_NOT_FOUND",
        );
    }
    Ok(())
}

async fn nothing_of_others_is_listed(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let eve = w.user("eve").await?;
    eve.must_send(&f.bob.id, "from eve").await?;
    let secret = format!("secret {:016x}", rand::random::<u64>());
    f.ann.must_send(&f.bob.id, &secret).await?;
    let cursor = f.ann.conversation(&f.bob, "?limit=1").await?.cursor();
    let chats = f.ann.get("/api/messages/chats?limit=1").await?;
    let more_chats = chats.cursor();
    let search = f.ann.get("/api/messages/search?q=from&limit=1").await?.cursor();
    let mut paths = vec![
        "/api/messages/chats".to_owned(),
        format!("/api/messages/search?q={}", secret.replace(' ', "%20")),
        "/api/messages/search?q=secret".to_owned(),
        format!("/api/messages/search?q=secret&userId={}", f.ann.id),
        format!("/api/messages/search?q=secret&userId={}", f.bob.id),
        format!("/api/messages/conversation/{}", f.ann.id),
        format!("/api/messages/conversation/{}", f.bob.id),
        format!("/api/messages/conversation/{}?after=0", f.bob.id),
        format!("/api/messages/conversation/{}", eve.id),
    ];
    // Cursors of Ann's lists in Eve's hands.
    for stolen in [cursor, more_chats, search].into_iter().flatten() {
        paths.push(format!("/api/messages/chats?cursor={stolen}"));
        paths.push(format!("/api/messages/search?q=from&cursor={stolen}"));
        paths.push(format!("/api/messages/conversation/{}?cursor={stolen}", f.bob.id));
        paths.push(format!("/api/messages/conversation/{}?cursor={stolen}", f.ann.id));
    }
    for path in paths {
        let answer = eve.get(&path).await?;
        let leaks =
            answer.text.contains(&secret) || answer.text.contains("from ann") || answer.text.contains("from bob");
        w.check(
            &req::CONVERSATION_PRIVATE_STRANGERS,
            !leaks,
            format!("{path}: nothing of others"),
            &answer.text,
        );
        w.check(
            &req::SEARCH_SCOPE_OWN_CHATS,
            answer.status < 500,
            "no 5xx",
            answer.status,
        );
    }
    Ok(())
}

async fn hostile_ids_are_ids_of_nothing(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let ids = [
        "x",
        "0",
        "-1",
        "null",
        "undefined",
        "true",
        "%00",
        "a%00b",
        "%27%20OR%20%271%27=%271",
        "%22",
        "%5C",
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2f",
        "%F0%9F%98%80",
        "%7B%22%24gt%22%3A%22%22%7D",
        "%5Bobject%20Object%5D",
        "%E2%80%8B",
        "%C2%A0",
        "a%0D%0AX-Injected:%201",
        "%25s%25n",
        "%2A",
        "%3Cscript%3E",
    ];
    let long = "9".repeat(1000);
    let huge = "a".repeat(10_000);
    for id in ids.into_iter().chain([long.as_str(), huge.as_str()]) {
        for operation in Operation::ALL
            .iter()
            .copied()
            .filter(|operation| operation.path().contains('{'))
        {
            let mut request = f.ann.request(operation.method(), &path_to(operation, id));
            if operation == Operation::EditMessage {
                request = request.json(&json!({"content": "x"}));
            }
            let answer = request.send().await?;
            let code = match operation {
                Operation::EditMessage | Operation::DeleteMessage => "MESSAGE_NOT_FOUND",
                _ => "USER_NOT_FOUND",
            };
            w.check(
                &req::IDS_HOSTILE_NO_5XX,
                answer.status < 500,
                format!("{operation}: no 5xx"),
                answer.status,
            );
            // Ten thousand letters are more than some servers take as a path.
            if id.len() < 10_000 {
                w.refused(&req::IDS_MALFORMED_SAME_AS_UNKNOWN, &answer, 404, code);
            }
            w.check(
                &req::ERRORS_HOSTILE_NO_5XX,
                answer.header("x-injected").is_empty(),
                "no header of the caller",
                "one",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chat_spec::ClientEvent;

    use super::super::schema::{properties, query};
    use super::*;

    /// Ids that a stranger must not be able to use: what [`every_id_of_somebody_else_is_an_id_of_nothing`] tries.
    const PRIVATE: [&str; 9] = [
        "deleteMessage id",
        "editMessage id",
        "join_chat chatId",
        "markRead chatId",
        "markRead messageIds",
        "read_receipt chatId",
        "read_receipt messageId",
        "sendMessage chatId",
        "send_message chatId",
    ];
    /// Ids of users, whom everybody may name; what is behind them [`nothing_of_others_is_listed`] looks for.
    const PUBLIC: [&str; 7] = [
        "getConversation userId",
        "getUser id",
        "getUserStatus id",
        "searchMessages userId",
        "sendMessage to",
        "send_message to",
        "typing to",
    ];
    /// Whoever adds a call or an event that takes an id decides here whose it is.
    #[test]
    fn every_place_that_takes_an_id_is_tried_or_public() {
        let mut places = BTreeSet::new();
        for operation in Operation::ALL.iter().copied() {
            let parts = operation.path().split('/');
            let in_path = parts.filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_owned()));
            let body = properties(operation.request_schema().unwrap_or_default());
            let ids = body
                .into_iter()
                .chain(query(operation))
                .filter(|property| property.is_id);
            for name in in_path.chain(ids.map(|property| property.name)) {
                places.insert(format!("{operation} {name}"));
            }
        }
        for event in ClientEvent::ALL.iter().copied() {
            for property in properties(event.schema()).iter().filter(|property| property.is_id) {
                places.insert(format!("{event} {}", property.name));
            }
        }
        let known: BTreeSet<String> = PRIVATE.iter().chain(&PUBLIC).map(|place| (*place).to_owned()).collect();
        assert_eq!(places, known);
    }
}
