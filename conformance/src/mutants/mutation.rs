//! A mutant at work: the hand in the wire that breaks what the mutant breaks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::edit::{Step, edit, lie_everywhere};
use super::mutant::{At, How, ListEdit, Mutant};
use super::proxy::{Call, Kind, Packet, Place, Reply, SEPARATOR, Tamper, Told};
use super::unit::{Class, Said, Unit};

/// Breaks what fits: all of it, or one alone.
pub(super) struct Mutation {
    at: At,
    how: How,
    /// Only the one with this number, counted from 0.
    only: Option<usize>,
    seen: AtomicUsize,
    /// How many of them each socket was told.
    told: Mutex<HashMap<u64, usize>>,
    /// What the first answer had.
    frozen: Mutex<Option<Frozen>>,
}

impl Mutation {
    pub(super) fn new(mutant: &Mutant, only: Option<usize>) -> Self {
        Self {
            at: mutant.at.clone(),
            how: mutant.how.clone(),
            only,
            seen: AtomicUsize::new(0),
            told: Mutex::default(),
            frozen: Mutex::default(),
        }
    }

    fn loses(&self, class: &Class) -> bool {
        self.at.fits(class) && self.how == How::Lose && self.turn().is_some()
    }

    /// How many were told to this socket before.
    fn told_before(&self, place: u64) -> usize {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let count = told.entry(place).or_default();
        *count += 1;
        *count - 1
    }

    fn turn(&self) -> Option<usize> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        self.only.is_none_or(|only| only == number).then_some(number)
    }
}

impl Tamper for Mutation {
    fn reply(&self, call: &Call, reply: &mut Reply) -> Duration {
        if !self.at.fits(&Class::of_reply(call, reply)) {
            return Duration::ZERO;
        }
        if freezes(&self.how) {
            let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
            freeze(&self.how, reply, &mut frozen);
            return Duration::ZERO;
        }
        let mut changed = reply.clone();
        let Some(held) = break_reply(&self.how, &mut changed) else {
            return Duration::ZERO;
        };
        if self.turn().is_none() {
            return Duration::ZERO;
        }
        *reply = changed;
        held
    }

    fn asked(&self, _: &Place, packet: &mut Packet) {
        if packet.kind == Kind::Disconnect && self.loses(&Class::Leave) {
            // An answer to nothing, which a server passes over.
            packet.kind = Kind::Ack;
            packet.id = Some(u64::from(u32::MAX));
            packet.data = json!([]);
        }
    }

    fn told(&self, to: &Place, packet: Packet) -> Vec<Told> {
        let fits = Class::of_packet(to, &packet).is_some_and(|class| self.at.fits(&class));
        if !fits {
            return vec![Told::now(packet)];
        }
        match break_packet(&self.how, packet.clone(), to) {
            None => vec![Told::now(packet)],
            Some(changed) => match self.turn() {
                None => vec![Told::now(packet)],
                // Of those to one socket every second one is held back, so that it comes behind the next.
                Some(_) if self.how == How::Swap && self.told_before(to.number) % 2 == 1 => vec![Told::now(packet)],
                Some(_) => changed,
            },
        }
    }

    fn frame(&self, text: &mut String) -> bool {
        let fits = Class::of_frame(text).is_some_and(|class| self.at.fits(&class));
        let changed = fits.then(|| break_frame(&self.how, text)).flatten();
        match changed {
            Some(changed) if self.turn().is_some() => {
                let goes_on = changed.is_some();
                *text = changed.unwrap_or_default();
                goes_on
            }
            _ => true,
        }
    }

    fn transport(&self, call: &Call, begun: bool, reply: &mut Reply) {
        let mut changed = reply.clone();
        let broken = self.at.fits(&Class::of_transport(call, begun, reply))
            && break_transport(&self.how, &mut changed)
            && self.turn().is_some();
        if broken {
            *reply = changed;
        }
    }

    fn refuses(&self, begun: bool) -> bool {
        let fits = self.at.fits(&Class::NoWebSocket { begun }) && self.how == How::Succeed;
        !(fits && self.turn().is_some())
    }

    fn ends(&self) -> bool {
        !self.loses(&Class::End)
    }
}

/// Whether a mutant could change this.
pub(super) fn could_break(mutant: &Mutant, unit: &Unit) -> bool {
    mutant.at.fits(&unit.class)
        && match &unit.said {
            Said::Reply(reply) if freezes(&mutant.how) => freeze(&mutant.how, &mut reply.clone(), &mut None),
            Said::Reply(reply) if matches!(unit.class, Class::Transport { .. }) => {
                break_transport(&mutant.how, &mut reply.clone())
            }
            Said::Reply(reply) => break_reply(&mutant.how, &mut reply.clone()).is_some(),
            Said::Packet(packet, to) => break_packet(&mutant.how, packet.clone(), to).is_some(),
            Said::Frame(text) => break_frame(&mutant.how, text).is_some(),
            Said::Nothing if matches!(unit.class, Class::NoWebSocket { .. }) => mutant.how == How::Succeed,
            Said::Nothing => mutant.how == How::Lose,
        }
}

enum Frozen {
    Header(HeaderValue),
    Json(Value),
}

fn freezes(how: &How) -> bool {
    matches!(how, How::FreezeHeader(_) | How::FreezeJson(_))
}

/// Puts the first value in its place, or is the first; whether there is one.
fn freeze(how: &How, reply: &mut Reply, frozen: &mut Option<Frozen>) -> bool {
    match how {
        How::FreezeHeader(name) => {
            let Some(value) = reply.headers.get(*name).cloned() else {
                return false;
            };
            if let Frozen::Header(first) = frozen.get_or_insert(Frozen::Header(value)) {
                reply.headers.insert(HeaderName::from_static(name), first.clone());
            }
        }
        How::FreezeJson(pointer) => {
            let Some(mut body) = reply.json() else { return false };
            let Some(value) = body.pointer_mut(pointer) else {
                return false;
            };
            if let Frozen::Json(first) = frozen.get_or_insert_with(|| Frozen::Json(value.clone())) {
                value.clone_from(first);
            }
            reply.put_body(body.to_string());
        }
        _ => return false,
    }
    true
}

/// How long it is to be held back; none when there is nothing to break.
fn break_reply(how: &How, reply: &mut Reply) -> Option<Duration> {
    let by_json = |reply: &mut Reply, change: &dyn Fn(&mut Value) -> bool| {
        let mut body = reply.json()?;
        change(&mut body).then(|| {
            reply.put_body(body.to_string());
            Duration::ZERO
        })
    };
    let changed = Some(Duration::ZERO);
    match how {
        How::Json(path, how) => by_json(reply, &|body| edit(body, path, *how)),
        How::LieEverywhere => by_json(reply, &|body| lie_everywhere(body, "")),
        How::Add(path, name, value) => by_json(reply, &|body| add(body, path, name, value)),
        How::List(ListEdit::RefuseEmpty) => reply.json().filter(|body| body["items"] == json!([])).map(|_| {
            refuse(reply, StatusCode::BAD_REQUEST, "VALIDATION_ERROR");
            Duration::ZERO
        }),
        How::List(edit) => by_json(reply, &|body| edit_list(body, *edit)),
        How::Code(code) => by_json(reply, &|body| put_code(body, code)),
        How::Text(text) => (!reply.body.is_empty()).then(|| {
            reply.put_body(*text);
            Duration::ZERO
        }),
        How::Refuse(status, code) => {
            refuse(reply, StatusCode::from_u16(*status).ok()?, code);
            changed
        }
        How::Succeed => (reply.status.as_u16() >= 400).then(|| {
            reply.status = StatusCode::OK;
            reply.headers.remove(WWW_AUTHENTICATE);
            reply.put_body("{}");
            Duration::ZERO
        }),
        How::Status(status) => (reply.status.as_u16() != *status).then(|| {
            reply.status = StatusCode::from_u16(*status).unwrap_or_default();
            Duration::ZERO
        }),
        How::DropHeader(name) => reply.headers.remove(*name).map(|_| Duration::ZERO),
        How::PutHeader(name, value) => {
            reply
                .headers
                .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            changed
        }
        How::Late(by) => Some(*by),
        How::FreezeHeader(_)
        | How::FreezeJson(_)
        | How::Lose
        | How::Double
        | How::Stray(_)
        | How::Swap
        | How::OtherId => None,
    }
}

/// What is sent in its place; none when there is nothing to break.
fn break_packet(how: &How, mut packet: Packet, place: &Place) -> Option<Vec<Told>> {
    let later = |packet: Packet, by: Duration| Told {
        after: by,
        ..Told::now(packet)
    };
    let changed = match how {
        How::Json(path, how) => edit(packet.payload_mut()?, path, *how),
        How::LieEverywhere => lie_everywhere(packet.payload_mut()?, ""),
        How::Add(path, name, value) => add(packet.payload_mut()?, path, name, value),
        How::Code(code) => match packet.kind {
            Kind::Ack => put_code(packet.payload_mut()?.get_mut("error")?, code),
            Kind::Refused => {
                let payload = packet.payload_mut()?;
                payload["message"] = json!(code);
                true
            }
            _ => put_code(packet.payload_mut()?, code),
        },
        How::Refuse(_, code) if packet.kind == Kind::Ack => {
            *packet.payload_mut()? = json!({"ok": false, "error": {"message": "No.", "code": code}});
            true
        }
        How::Succeed => match packet.kind {
            Kind::Ack if packet.payload()["ok"] == false => {
                *packet.payload_mut()? = json!({"ok": true});
                true
            }
            Kind::Refused => {
                packet.kind = Kind::Connect;
                packet.data = json!({"sid": "000000000000000000"});
                true
            }
            _ => false,
        },
        How::Lose => return Some(Vec::new()),
        How::Double => return Some(vec![Told::now(packet.clone()), Told::now(packet)]),
        How::Stray(to) if place.meant(*to).next().is_none() => return None,
        How::Stray(to) => {
            let astray = Told {
                to: *to,
                ..Told::now(packet.clone())
            };
            return Some(vec![astray, Told::now(packet)]);
        }
        How::OtherId => match packet.id.as_mut() {
            Some(id) => {
                *id += 1;
                true
            }
            None => false,
        },
        How::Late(by) => return Some(vec![later(packet, *by)]),
        How::Swap => return Some(vec![later(packet, Duration::from_millis(400))]),
        _ => false,
    };
    changed.then(|| vec![Told::now(packet)])
}

/// The frame in its place, if any; none when there is nothing to break.
fn break_frame(how: &How, text: &str) -> Option<Option<String>> {
    match how {
        How::Lose => Some(None),
        How::Text(other) => Some(Some((*other).to_owned())),
        How::Json(path, how) => {
            let mut body = serde_json::from_str(text.get(1..)?).ok()?;
            edit(&mut body, path, *how).then(|| Some(format!("{}{body}", &text[..1])))
        }
        _ => None,
    }
}

/// Whether there was anything to break.
fn break_transport(how: &How, reply: &mut Reply) -> bool {
    match how {
        How::Status(status) if reply.status.as_u16() != *status => {
            reply.status = StatusCode::from_u16(*status).unwrap_or_default();
            true
        }
        How::List(ListEdit::Reverse) => {
            let Ok(body) = std::str::from_utf8(&reply.body) else {
                return false;
            };
            let packets: Vec<&str> = body.split(SEPARATOR).rev().collect();
            let reversed = packets.join(&SEPARATOR.to_string());
            let changed = reversed != body;
            reply.put_body(reversed);
            changed
        }
        _ => false,
    }
}

fn refuse(reply: &mut Reply, status: StatusCode, code: &str) {
    reply.status = status;
    reply.put_body(json!({"message": "No.", "code": code}).to_string());
    let json = HeaderValue::from_static("application/json");
    reply.headers.insert("content-type", json);
}

fn put_code(error: &mut Value, code: &str) -> bool {
    match error.get_mut("code") {
        Some(old) if *old != code => {
            *old = json!(code);
            true
        }
        _ => false,
    }
}

fn add(value: &mut Value, path: &[Step], name: &str, text: &str) -> bool {
    match path {
        [] => match value {
            Value::Object(members) => members.insert(name.to_owned(), json!(text)).is_none(),
            _ => false,
        },
        [Step::Each, rest @ ..] => match value {
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |any, item| add(item, rest, name, text) | any),
            _ => false,
        },
        [Step::Member(member), rest @ ..] => value.get_mut(member).is_some_and(|value| add(value, rest, name, text)),
    }
}

fn edit_list(body: &mut Value, how: ListEdit) -> bool {
    let Some(Value::Array(items)) = body.get_mut("items") else {
        return false;
    };
    let before = items.clone();
    match how {
        ListEdit::Empty => items.clear(),
        ListEdit::Repeat => items.extend(before.first().cloned()),
        ListEdit::Cut => drop(items.pop()),
        ListEdit::Reverse => items.reverse(),
        // Not an edit of the body.
        ListEdit::RefuseEmpty => {}
    }
    *items != before
}
