//! Every keyword of every request, payload and query, broken one at a time.

use chat_spec::{ClientEvent, Operation, Profile, Requirement, req};
use serde_json::{Value, json};

use super::fixture::{Fixture, with_body};
use super::schema::{Broken, Property, properties, query};
use crate::cases;
use crate::engine::{Outcome, World, escaped};

cases!("keywords":
    every_keyword_of_every_body [
        CONVERSATION_AFTER_INVALID, EDIT_CONTENT_RULES, ERRORS_DETAILS_NO_ECHO, ERRORS_DETAILS_ONE_PER_FIELD,
        LISTS_CURSOR_BROKEN, LISTS_LIMIT_RANGE, LOGIN_MISSING_FIELDS, PASSWORD_CHANGE_CONFIRM, PASSWORD_CHANGE_RULES,
        PROFILE_UPDATE_ALL_OR_NOTHING, PROFILE_UPDATE_BIO_LENGTH, PROFILE_UPDATE_PICTURE_URL,
        PROFILE_UPDATE_USERNAME_FORMAT, READ_BODY_ONE_OF, REGISTER_CONFIRM_EQUAL, REGISTER_EMAIL_FORMAT,
        REGISTER_PASSWORD_LENGTH, REGISTER_USERNAME_FORMAT, SEARCH_QUERY_LENGTH, SEND_CONTENT_LENGTH,
        SEND_IDEMPOTENT_FORMAT, SEND_MISSING_FIELDS, SEND_TYPE_KNOWN, USERS_SEARCH_QUERY_LENGTH,
    ],
    every_keyword_of_every_payload [EVENTS_NO_ACK_ERROR_EVENT, EVENTS_PAYLOAD_DETAILS, EVENTS_PAYLOAD_MALFORMED],
    every_bound_of_every_query [
        CONVERSATION_AFTER_INVALID, EDIT_CONTENT_RULES, ERRORS_DETAILS_ONE_PER_FIELD, LISTS_CURSOR_BROKEN,
        LISTS_LIMIT_RANGE, LOGIN_MISSING_FIELDS, PASSWORD_CHANGE_CONFIRM, PASSWORD_CHANGE_RULES,
        PROFILE_UPDATE_BIO_LENGTH, PROFILE_UPDATE_PICTURE_URL, PROFILE_UPDATE_USERNAME_FORMAT, READ_BODY_ONE_OF,
        REGISTER_CONFIRM_EQUAL, REGISTER_EMAIL_FORMAT, REGISTER_PASSWORD_LENGTH, REGISTER_USERNAME_FORMAT,
        SEARCH_QUERY_LENGTH, SEND_CONTENT_LENGTH, SEND_IDEMPOTENT_FORMAT, SEND_MISSING_FIELDS, SEND_TYPE_KNOWN,
        USERS_SEARCH_QUERY_LENGTH,
    ],
);

/// The requirement that speaks of this field beside those about every field.
pub(super) fn about(operation: Operation, field: &str) -> &'static Requirement {
    match (operation, field) {
        (Operation::Register, "username") => &req::REGISTER_USERNAME_FORMAT,
        (Operation::Register, "email") => &req::REGISTER_EMAIL_FORMAT,
        (Operation::Register, "password") => &req::REGISTER_PASSWORD_LENGTH,
        (Operation::Register, _) => &req::REGISTER_CONFIRM_EQUAL,
        (Operation::Login, _) => &req::LOGIN_MISSING_FIELDS,
        (Operation::UpdateProfile, "username") => &req::PROFILE_UPDATE_USERNAME_FORMAT,
        (Operation::UpdateProfile, "bio") => &req::PROFILE_UPDATE_BIO_LENGTH,
        (Operation::UpdateProfile, _) => &req::PROFILE_UPDATE_PICTURE_URL,
        (Operation::ChangePassword, "newPassword") => &req::PASSWORD_CHANGE_RULES,
        (Operation::ChangePassword, "confirmPassword") => &req::PASSWORD_CHANGE_CONFIRM,
        (Operation::SendMessage, "content") => &req::SEND_CONTENT_LENGTH,
        (Operation::SendMessage, "messageType") => &req::SEND_TYPE_KNOWN,
        (Operation::SendMessage, "clientMessageId") => &req::SEND_IDEMPOTENT_FORMAT,
        (Operation::SendMessage, _) => &req::SEND_MISSING_FIELDS,
        (Operation::EditMessage, _) => &req::EDIT_CONTENT_RULES,
        (Operation::MarkRead, _) => &req::READ_BODY_ONE_OF,
        (Operation::SearchMessages, "q") => &req::SEARCH_QUERY_LENGTH,
        (Operation::SearchUsers, "q") => &req::USERS_SEARCH_QUERY_LENGTH,
        (_, "limit") => &req::LISTS_LIMIT_RANGE,
        (_, "cursor") => &req::LISTS_CURSOR_BROKEN,
        (_, "after") => &req::CONVERSATION_AFTER_INVALID,
        _ => &req::ERRORS_DETAILS_ONE_PER_FIELD,
    }
}

/// The body with a value in a property; a second field that must be equal to it follows.
pub(super) fn with(operation: Operation, base: &Value, property: &Property, value: Option<&Value>) -> Value {
    let mut body = base.clone();
    // A chat instead of messages: both together are another mistake.
    if operation == Operation::MarkRead && property.name == "chatId" {
        body = json!({});
    }
    let mut names = vec![property.name.as_str()];
    if ["password", "newPassword"].contains(&property.name.as_str()) && operation != Operation::Login {
        names.push("confirmPassword");
    }
    for name in names {
        match value {
            Some(value) => body[name] = value.clone(),
            None => drop(body.as_object_mut().and_then(|members| members.remove(name))),
        }
    }
    body
}

/// Whether the details name this field once, and nothing else that was good.
fn names_it(details: &[&str], property: &Property) -> bool {
    let follows = |field: &str| field == "confirmPassword" && property.name.to_lowercase().ends_with("password");
    // A list may be named together with the place in it, a choice of two by either.
    let is_it = |field: &str| {
        field == property.name
            || field.starts_with(&format!("{}[", property.name))
            || field.starts_with(&format!("{}.", property.name))
    };
    let named = details.iter().filter(|field| is_it(field)).count();
    named == 1 && details.iter().all(|field| is_it(field) || follows(field))
}

/// Whether a value is long and special enough to be looked for in an answer.
fn telling(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| text.len() >= 8)
}

/// The properties of a schema, but for what a profile adds that the target does not claim: there that is a field like any other unknown.
fn claimed(w: &World, schema: Option<&str>) -> impl Iterator<Item = Property> {
    let recovers = w.target.claims(Profile::Recovery);
    properties(schema.unwrap_or_default())
        .into_iter()
        .filter(move |property| recovers || property.name != "clientMessageId")
}

async fn every_keyword_of_every_body(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let before = f.state().await?;
    for operation in with_body() {
        let base = f.body(operation).unwrap_or_default();
        for property in claimed(&w, operation.request_schema()) {
            for Broken { keyword, value } in property.broken() {
                let body = with(operation, &base, &property, value.as_ref());
                let request = f.ann.request(operation.method(), &f.path(operation)).json(&body);
                let answer = request.send().await?;
                let what = format!("{operation}: {} breaks {keyword}", property.name);
                w.check(
                    about(operation, &property.name),
                    answer.status == 400 && answer.code() == "VALIDATION_ERROR",
                    format!("{what}: 400 VALIDATION_ERROR"),
                    format!("{} {}", answer.status, answer.code()),
                );
                let details = answer.details();
                // Which of two fields is missing when one of them is needed is not said.
                if operation != Operation::MarkRead || keyword != "required" {
                    w.check(
                        &req::ERRORS_DETAILS_ONE_PER_FIELD,
                        names_it(&details, &property),
                        format!("{what}: one detail"),
                        format!("{details:?}"),
                    );
                }
                if let Some(text) = telling(value.as_ref()) {
                    w.check(
                        &req::ERRORS_DETAILS_NO_ECHO,
                        !answer.text.contains(text),
                        format!("{what}: not what was sent"),
                        &answer.text,
                    );
                }
            }
        }
    }
    w.equal(&req::PROFILE_UPDATE_ALL_OR_NOTHING, "state", before, f.state().await?);
    Ok(())
}

async fn every_keyword_of_every_payload(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    let device = f.ann.device().await?;
    for event in ClientEvent::ALL {
        let base = f.payload(*event);
        for property in claimed(&w, Some(event.schema())) {
            for Broken { keyword, value } in property.broken() {
                let mut payload = base.clone();
                match &value {
                    Some(value) => payload[&property.name] = value.clone(),
                    None => drop(
                        payload
                            .as_object_mut()
                            .and_then(|members| members.remove(&property.name)),
                    ),
                }
                let is_text = value.as_ref().is_some_and(Value::is_string);
                let code = match (event, property.name.as_str()) {
                    (ClientEvent::UpdateStatus, "status") if is_text => "INVALID_STATUS",
                    // Whether an empty token is malformed or a bad one is not said.
                    (ClientEvent::Authenticate, "token") if is_text => continue,
                    _ => "VALIDATION_ERROR",
                };
                let ack = device.ask(event.name(), payload.clone()).await?;
                w.refused_ack(&req::EVENTS_PAYLOAD_MALFORMED, &ack, code);
                if code == "VALIDATION_ERROR" {
                    let details = ack["error"]["details"].as_array().into_iter().flatten();
                    let details: Vec<&str> = details.filter_map(|detail| detail["field"].as_str()).collect();
                    let what = format!("{event}: {} breaks {keyword}: one detail", property.name);
                    let one = names_it(&details, &property);
                    w.check(&req::EVENTS_PAYLOAD_DETAILS, one, what, format!("{details:?}"));
                }
                device.emit(event.name(), payload);
                w.arrives(&req::EVENTS_NO_ACK_ERROR_EVENT, &device, "error", |error| {
                    error["code"] == code
                })
                .await?;
            }
        }
    }
    let history = f.bob.conversation(&f.ann, "").await?;
    w.equal(&req::EVENTS_PAYLOAD_MALFORMED, "messages", 2, history.items()?.len());
    Ok(())
}

async fn every_bound_of_every_query(w: World) -> Outcome {
    let f = Fixture::new(&w).await?;
    for operation in Operation::ALL.iter().copied() {
        let path = f.path(operation);
        let bare = path.split('?').next().unwrap_or_default().to_owned();
        for property in query(operation) {
            let needed = if path.contains('?') && property.name != "q" {
                "&q=ann"
            } else {
                ""
            };
            let call = |value: &str| {
                let (ann, path) = (f.ann.clone(), format!("{bare}?{}={value}{needed}", property.name));
                async move { ann.get(&path).await }
            };
            for bound in property.bounds().into_iter().chain(property.number_bounds()) {
                let value = bound.value.as_str().map_or_else(|| bound.value.to_string(), escaped);
                let answer = call(&value).await?;
                let requirement = about(operation, &property.name);
                if bound.within && property.name == "cursor" {
                    // What a good one looks like is the server's affair.
                    continue;
                }
                if bound.within {
                    let got = format!("{} {}", answer.status, answer.code());
                    w.check(
                        requirement,
                        answer.status == 200,
                        format!("{operation} takes {}", bound.what),
                        got,
                    );
                } else {
                    w.invalid(requirement, &answer, &[&property.name]);
                }
            }
            let words: &[&str] = match property.kind() {
                "integer" => &["ten", "1.5", "-1", "0x10", "NaN", "%00"],
                _ => &[],
            };
            for word in words {
                w.invalid(about(operation, &property.name), &call(word).await?, &[&property.name]);
            }
            if property.required {
                w.invalid(
                    about(operation, &property.name),
                    &f.ann.get(&bare).await?,
                    &[&property.name],
                );
            }
        }
    }
    Ok(())
}
