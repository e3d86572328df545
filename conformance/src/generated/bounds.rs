//! Values at every bound and one step beyond it.

use chat_spec::{ClientEvent, Operation, Requirement, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, with_body};
use super::keywords::{about, with};
use super::schema::{Property, properties};
use crate::cases;
use crate::engine::{Outcome, World};

cases!("bounds":
    every_length_of_every_body [
        CONVERSATION_AFTER_INVALID, EDIT_CONTENT_RULES, ERRORS_DETAILS_ONE_PER_FIELD, LENGTHS_UNIT_UNICODE_SCALARS,
        LISTS_CURSOR_BROKEN, LISTS_LIMIT_RANGE, LOGIN_MISSING_FIELDS, PASSWORD_CHANGE_CONFIRM, PASSWORD_CHANGE_RULES,
        PROFILE_UPDATE_BIO_LENGTH, PROFILE_UPDATE_PICTURE_URL, PROFILE_UPDATE_USERNAME_FORMAT, READ_BODY_ONE_OF,
        REGISTER_CONFIRM_EQUAL, REGISTER_EMAIL_FORMAT, REGISTER_PASSWORD_LENGTH, REGISTER_USERNAME_FORMAT,
        SEARCH_QUERY_LENGTH, SEND_CONTENT_LENGTH, SEND_IDEMPOTENT_FORMAT, SEND_MISSING_FIELDS, SEND_TYPE_KNOWN,
        USERS_SEARCH_QUERY_LENGTH,
    ],
    every_length_of_every_payload [EVENTS_PAYLOAD_MALFORMED, LENGTHS_UNIT_UNICODE_SCALARS, SEND_IDEMPOTENT_FORMAT],
    content_counts_scalars_by_event [LENGTHS_UNIT_UNICODE_SCALARS],
    every_page_size [LISTS_CURSOR_LAST_PAGE_NULL, LISTS_LIMIT_RANGE],
    every_size_of_a_body [PRECEDENCE_SIZE_LIMIT],
);

/// The requirement about a length that is good.
fn about_length(operation: Operation, property: &Property, value: &Value) -> &'static Requirement {
    let astral = value.as_str().is_some_and(|text| !text.is_ascii());
    match astral {
        true => &req::LENGTHS_UNIT_UNICODE_SCALARS,
        false => about(operation, &property.name),
    }
}

async fn every_length_of_every_body(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in with_body() {
        let mut base = f.body(operation).unwrap_or_default();
        match operation {
            // Refused after its fields were found good, before anything costly is done.
            Operation::Register => base["email"] = f.bob.email.clone().into(),
            Operation::ChangePassword => base["currentPassword"] = "not the password".into(),
            _ => {}
        }
        for property in properties(operation.request_schema().unwrap_or_default()) {
            for bound in property.bounds() {
                let mut body = with(operation, &base, &property, Some(&bound.value));
                if operation == Operation::Register && property.name == "email" && bound.within {
                    body["username"] = f.bob.username.clone().into();
                }
                // The name would be kept, and the next one of the same letters be taken.
                if property.name == "username" && bound.within {
                    body["username"] = unique(&bound.value);
                }
                // What has to be the same follows its partner, and was good with it.
                if property.name == "confirmPassword" && bound.within {
                    continue;
                }
                let request = f.ann.request(operation.method(), &f.path(operation)).json(&body);
                let answer = request.send().await?;
                let named = answer.details().contains(&property.name.as_str());
                let refused = answer.status == 400 && answer.code() == "VALIDATION_ERROR" && named;
                let requirement = about_length(operation, &property, &bound.value);
                let expected = format!(
                    "{operation}: {} {}",
                    bound.what,
                    ["refused", "taken"][usize::from(bound.within)]
                );
                let got = format!("{} {}", answer.status, answer.text);
                w.check(
                    requirement,
                    refused != bound.within && answer.status < 500,
                    expected,
                    got,
                );
            }
        }
    }
    Ok(())
}

/// What is still good; one step beyond is among what breaks a keyword.
async fn every_length_of_every_payload(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let device = f.ann.device().await?;
    for event in ClientEvent::ALL.iter().copied() {
        for property in properties(event.schema()) {
            for bound in property.bounds().into_iter().filter(|bound| bound.within) {
                let requirement: &'static Requirement = match property.name.as_str() {
                    "content" => &req::LENGTHS_UNIT_UNICODE_SCALARS,
                    "clientMessageId" => &req::SEND_IDEMPOTENT_FORMAT,
                    _ => &req::EVENTS_PAYLOAD_MALFORMED,
                };
                let mut payload = f.payload(event);
                payload[&property.name] = bound.value;
                let ack = device.ask(event.name(), payload).await?;
                // It may be refused for what it says, such as a token that nobody gave out.
                let taken = match event {
                    ClientEvent::SendMessage => ack["ok"] == true,
                    _ => ack["ok"].is_boolean() && ack["error"]["code"] != "VALIDATION_ERROR",
                };
                w.check(requirement, taken, format!("{event}: {} taken", bound.what), &ack);
            }
        }
    }
    Ok(())
}

/// Another name of the same length.
fn unique(name: &Value) -> Value {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    let length = name.as_str().unwrap_or_default().len();
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    (0..length).map(letter).collect::<String>().into()
}

async fn content_counts_scalars_by_event(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let device = f.ann.device().await?;
    for (letter, name) in [
        ("a", "ASCII"),
        ("\u{e9}", "two bytes"),
        ("\u{20ac}", "three bytes"),
        ("\u{1f600}", "four bytes"),
    ] {
        for (length, good) in [(1, true), (4096, true), (4097, false)] {
            let payload = json!({"to": f.bob.id, "content": letter.repeat(length)});
            let ack = device.ask("send_message", payload).await?;
            let code = ack["error"]["code"].as_str().unwrap_or("ok");
            let expected = if good { "ok" } else { "VALIDATION_ERROR" };
            w.check(
                &req::LENGTHS_UNIT_UNICODE_SCALARS,
                code == expected,
                format!("{length} of {name}: {expected}"),
                code,
            );
        }
    }
    Ok(())
}

async fn every_page_size(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for number in 0..4 {
        f.ann.must_send(&f.bob.id, &format!("ann {number}")).await?;
    }
    // Six messages, of which Ann wrote five that have her name in them.
    for (path, all) in [
        (format!("/api/messages/conversation/{}?", f.bob.id), 6),
        ("/api/messages/search?q=ann&".to_owned(), 5),
        ("/api/messages/chats?".to_owned(), 1),
    ] {
        for limit in [1, 2, 3, 5, 6, 7, 100] {
            let page = f.ann.get(&format!("{path}limit={limit}")).await?;
            w.equal(&req::LISTS_LIMIT_RANGE, "items", limit.min(all), page.items()?.len());
            let more = page.body["nextCursor"].is_string();
            w.equal(
                &req::LISTS_CURSOR_LAST_PAGE_NULL,
                "whether there is a cursor",
                limit < all,
                more,
            );
        }
    }
    Ok(())
}

async fn every_size_of_a_body(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in with_body() {
        let mut base = f.body(operation).unwrap_or_default();
        match operation {
            Operation::Register => base["email"] = f.bob.email.clone().into(),
            Operation::ChangePassword => base["currentPassword"] = "not the password".into(),
            // Of another kind than what is needed later.
            Operation::RefreshToken => base["refreshToken"] = "garbage".into(),
            Operation::Login => base["password"] = "not the password".into(),
            _ => {}
        }
        for (size, good) in [(65_535, true), (65_536, true), (65_537, false), (200_000, false)] {
            base["padding"] = "".into();
            let length = base.to_string().len();
            base["padding"] = "p".repeat(size - length).into();
            let request = f.ann.request(operation.method(), &f.path(operation));
            let answer = request.json(&base).send().await?;
            let got = format!("{} {}", answer.status, answer.code());
            if good {
                w.check(
                    &req::PRECEDENCE_SIZE_LIMIT,
                    answer.status != 413,
                    format!("{operation} takes {size} bytes"),
                    got,
                );
            } else {
                w.refused(&req::PRECEDENCE_SIZE_LIMIT, &answer, 413, "PAYLOAD_TOO_LARGE");
            }
        }
    }
    Ok(())
}
