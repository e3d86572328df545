//! Texts that are easily damaged, through every way in and every way out.

use chat_spec::req;
use serde_json::{Value, json};

use super::fixture::{Fixture, path_to};
use crate::cases;
use crate::engine::{Outcome, World, escaped};

cases!("unicode":
    content_comes_back_as_it_was_sent [EDIT_SUCCESS_MESSAGE, MESSAGE_NEW_AGREES, SEND_CONTENT_EXACT],
    blank_is_blank_in_every_script [SEND_CONTENT_BLANK, SEND_CONTENT_EXACT, SEND_CONTENT_NUL],
    profiles_keep_their_text [PROFILE_UPDATE_FIELDS, PROFILE_UPDATE_VISIBLE],
    what_is_stored_is_found [SEARCH_MATCH_AT_ONCE, SEARCH_MATCH_SUBSTRING],
    names_are_of_few_letters [REGISTER_USERNAME_FORMAT],
);

/// Texts that some database, encoder or normalization changes.
const TEXTS: [&str; 26] = [
    " leading and trailing ",
    "line\nbreak\r\nand\ttab",
    "\u{1}\u{8}\u{b}\u{1f}\u{7f} control characters",
    "\"quotes\" 'and' \\backslashes\\ /",
    "<script>alert(1)</script> &amp; &lt;",
    "'; DROP TABLE messages; --",
    "{\"json\": [1, null]}",
    "$gt $where %s %n ${x} #{y} {{z}}",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{fb01}ne \u{2126} \u{212b}",
    "stra\u{df}e STRASSE \u{1e9e}",
    "\u{130}stanbul \u{131}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
    "\u{1f1e9}\u{1f1ea} \u{1f44d}\u{1f3ff}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202e}reversed\u{202c}",
    "\u{627}\u{644}\u{633}\u{644}\u{627}\u{645}",
    "\u{4f60}\u{597d} \u{3053}\u{3093}\u{306b}\u{3061}\u{306f} \u{c548}\u{b155}",
    "\u{e01}\u{e33} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
    "\u{20000}\u{10ffff}\u{e000}",
    "\u{fffd}\u{ffff}\u{fffe}",
    "zero\u{200b}width\u{feff}\u{2060}",
    "\u{feff}byte order mark",
    "line\u{2028}paragraph\u{2029}next\u{85}",
    "Z\u{351}\u{36b}\u{343}\u{32a}\u{302}\u{36b}\u{33d}",
    "\\u0041 \\n \\x41 %41 &#65;",
];

/// Texts that nobody trims, escapes, normalizes or refuses.
const PLAIN: [&str; 8] = [
    "plain words",
    "stra\u{df}e",
    "\u{44d}\u{442}\u{43e} \u{43a}\u{440}\u{430}\u{442}\u{43a}\u{43e}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{633}\u{644}\u{627}\u{645}",
    "\u{4f60}\u{597d} \u{3053}\u{3093}\u{306b}\u{3061}",
    "\u{1f600} \u{1f44d}\u{1f3ff}",
    "\u{20000}\u{2a6d6}",
];

async fn content_comes_back_as_it_was_sent(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let (a1, b1) = (f.ann.device().await?, f.bob.device().await?);
    let mut expected = Vec::new();
    for text in TEXTS {
        let answer = f.ann.send(&f.bob.id, text).await?;
        w.success(&req::SEND_CONTENT_EXACT, &answer, 201, Some("MessageResponse"))?;
        w.equal(
            &req::SEND_CONTENT_EXACT,
            "content",
            text,
            answer.body["message"]["content"].clone(),
        );
        let ack = a1.ask("send_message", json!({"to": f.bob.id, "content": text})).await?;
        w.equal(&req::SEND_CONTENT_EXACT, "ok", true, ack["ok"].clone());
        let id = answer.body["message"]["id"].clone();
        for id in [id, ack["messageId"].clone()] {
            let event = w
                .arrives(&req::MESSAGE_NEW_AGREES, &b1, "new_message", |event| {
                    event["messageId"] == id
                })
                .await?;
            w.equal(
                &req::SEND_CONTENT_EXACT,
                "content of the event",
                text,
                event["content"].clone(),
            );
            expected.push(text);
        }
    }
    // Newest first, and the two messages from before at the end.
    let page = f.bob.conversation(&f.ann, "?limit=100").await?;
    let newer = page.items()?.iter().rev().skip(2);
    let seen: Vec<Value> = newer.map(|message| message["content"].clone()).collect();
    w.equal(&req::SEND_CONTENT_EXACT, "history", json!(expected), json!(seen));
    let path = path_to(
        chat_spec::Operation::EditMessage,
        f.sent["id"].as_str().unwrap_or_default(),
    );
    for text in TEXTS {
        let answer = f.ann.put(&path, &json!({"content": text})).await?;
        w.equal(
            &req::EDIT_SUCCESS_MESSAGE,
            "edited content",
            text,
            answer.body["message"]["content"].clone(),
        );
    }
    Ok(())
}

async fn blank_is_blank_in_every_script(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let device = f.ann.device().await?;
    let spaces = [
        " ",
        "\t",
        "\n",
        "\u{b}",
        "\u{c}",
        "\r",
        "\u{85}",
        "\u{a0}",
        "\u{1680}",
        "\u{2000}",
        "\u{2003}",
        "\u{2009}",
        "\u{2028}",
        "\u{2029}",
        "\u{202f}",
        "\u{205f}",
        "\u{3000}",
        " \u{3000}\n\u{a0} ",
    ];
    for blank in spaces {
        let answer = f.ann.send(&f.bob.id, blank).await?;
        w.invalid(&req::SEND_CONTENT_BLANK, &answer, &["content"]);
        let ack = device
            .ask("send_message", json!({"to": f.bob.id, "content": blank}))
            .await?;
        w.refused_ack(&req::SEND_CONTENT_BLANK, &ack, "VALIDATION_ERROR");
        // With one letter it is a text, and stays as it is.
        let text = format!("{blank}x{blank}");
        let answer = f.ann.send(&f.bob.id, &text).await?;
        w.equal(
            &req::SEND_CONTENT_EXACT,
            "content",
            text,
            answer.body["message"]["content"].clone(),
        );
    }
    for nul in ["\u{0}", "a\u{0}b", "text\u{0}"] {
        w.invalid(&req::SEND_CONTENT_NUL, &f.ann.send(&f.bob.id, nul).await?, &["content"]);
        let ack = device
            .ask("send_message", json!({"to": f.bob.id, "content": nul}))
            .await?;
        w.refused_ack(&req::SEND_CONTENT_NUL, &ack, "VALIDATION_ERROR");
    }
    Ok(())
}

async fn profiles_keep_their_text(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let of_ann = path_to(chat_spec::Operation::GetUser, &f.ann.id);
    for text in PLAIN {
        let answer = f.ann.put("/api/auth/profile", &json!({"bio": text})).await?;
        w.success(&req::PROFILE_UPDATE_FIELDS, &answer, 200, Some("OwnUserResponse"))?;
        let seen = f.bob.get(&of_ann).await?;
        w.equal(
            &req::PROFILE_UPDATE_VISIBLE,
            "bio",
            text,
            seen.body["user"]["bio"].clone(),
        );
    }
    // Of a bio its length alone is said: a server may refuse these, or keep them in another way, but then for everybody.
    for text in TEXTS {
        let answer = f.ann.put("/api/auth/profile", &json!({"bio": text})).await?;
        if answer.status != 200 {
            w.invalid(&req::PROFILE_UPDATE_FIELDS, &answer, &["bio"]);
            continue;
        }
        let seen = f.bob.get(&of_ann).await?;
        w.equal(
            &req::PROFILE_UPDATE_VISIBLE,
            "bio, as its owner was shown it",
            answer.body["user"]["bio"].clone(),
            seen.body["user"]["bio"].clone(),
        );
    }
    Ok(())
}

async fn what_is_stored_is_found(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for text in TEXTS {
        let message = f.ann.must_send(&f.bob.id, text).await?;
        // From the middle, so that no index of beginnings will do.
        let part: String = text.chars().skip(1).take(12).collect();
        for user in [&f.ann, &f.bob] {
            let found = user.get(&format!("/api/messages/search?q={}", escaped(&part))).await?;
            w.success(&req::SEARCH_MATCH_SUBSTRING, &found, 200, Some("MessagesResponse"))?;
            let is_there = found.items()?.iter().any(|item| item["id"] == message["id"]);
            w.check(
                &req::SEARCH_MATCH_AT_ONCE,
                is_there,
                format!("{part:?} found"),
                found.items()?.len(),
            );
        }
    }
    Ok(())
}

async fn names_are_of_few_letters(w: World) -> Outcome {
    for letter in [
        "\u{e9}",
        "\u{430}",
        "\u{ff21}",
        "\u{1f600}",
        "\u{200b}",
        "\u{2024}",
        " ",
        "\n",
        "@",
        "/",
        "+",
        "\u{0}",
        "%",
        "'",
        "\"",
        "<",
        "\\",
        "$",
        "*",
        "(",
        "\u{212a}",
    ] {
        let mut body = w.registration("ann");
        body["username"] = format!("ann{letter}bob").into();
        let answer = w.request("POST", "/api/auth/register").json(&body).send().await?;
        w.invalid(&req::REGISTER_USERNAME_FORMAT, &answer, &["username"]);
    }
    Ok(())
}
