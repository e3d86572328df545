//! What `tracing` sees of a client: where time goes, and nothing that is nobody else's business.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use chat_client::testing::{PASSWORD, Server};
use chat_client::{Client, Event, MemoryTokens, Result, StoredTokens, TokenStore};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{PATIENCE, contents};

const CONTENT: &str = "a content that is nobody else's business";

/// Every span and event of this crate, and every word of any crate.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Everything>>);

#[derive(Default)]
struct Everything {
    open: BTreeMap<u64, Shown>,
    closed: Vec<Shown>,
    words: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Shown {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

struct Reader<'a> {
    words: &'a mut Vec<String>,
    fields: Option<&'a mut BTreeMap<&'static str, String>>,
}

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.words.push(text.clone());
        if let Some(fields) = &mut self.fields {
            fields.insert(field.name(), text.trim_matches('"').to_owned());
        }
    }
}

fn ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("chat_client")
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut shown = Shown {
            name: attributes.metadata().name(),
            parent: context.span(id).and_then(|span| span.parent()).map(|span| span.name()),
            ..Shown::default()
        };
        let mut all = self.0.lock().unwrap();
        attributes.record(&mut Reader {
            words: &mut all.words,
            fields: Some(&mut shown.fields),
        });
        if ours(attributes.metadata()) {
            all.open.insert(id.into_u64(), shown);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let all = &mut *self.0.lock().unwrap();
        values.record(&mut Reader {
            words: &mut all.words,
            fields: all.open.get_mut(&id.into_u64()).map(|shown| &mut shown.fields),
        });
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        event.record(&mut Reader {
            words: &mut all.words,
            fields: None,
        });
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        let closed = all.open.remove(&id.into_u64());
        all.closed.extend(closed);
    }
}

impl Seen {
    fn named(&self, name: &str) -> Vec<Shown> {
        let all = self.0.lock().unwrap();
        let spans = all.closed.iter().chain(all.open.values());
        spans.filter(|shown| shown.name == name).cloned().collect()
    }

    /// One of this name with these fields.
    fn has(&self, name: &str, fields: &[(&str, &str)]) -> Shown {
        let spans = self.named(name);
        let fits = |shown: &&Shown| {
            let mut wanted = fields.iter();
            wanted.all(|(field, value)| shown.fields.get(field).is_some_and(|seen| seen == value))
        };
        let found = spans.iter().find(fits);
        found
            .unwrap_or_else(|| panic!("no {name} with {fields:?} in {spans:#?}"))
            .clone()
    }
}

/// Every token that was ever kept.
#[derive(Clone, Default)]
struct Witness {
    tokens: Arc<MemoryTokens>,
    kept: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl TokenStore for Witness {
    async fn load(&self) -> Result<Option<StoredTokens>> {
        self.tokens.load().await
    }

    async fn save(&self, tokens: &StoredTokens) -> Result<()> {
        for token in [&tokens.access, &tokens.refresh] {
            self.kept.lock().unwrap().push(token.expose_secret().to_owned());
        }
        self.tokens.save(tokens).await
    }

    async fn clear(&self) -> Result<()> {
        self.tokens.clear().await
    }
}

#[tokio::test]
async fn spans_show_where_time_goes_and_no_secret_or_content() {
    let server = Server::start().await.unwrap();
    // With a single dispatcher in the process, what a thread without one comes to first would be switched off for all threads.
    let _second = tracing::Dispatch::new(NoSubscriber::new());
    // Of this thread alone, and so of this test.
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    let _guard = tracing::subscriber::set_default(subscriber);

    let tokens = Witness::default();
    let ann = server.client_with("ann", |builder| builder.token_store(tokens.clone()));
    let ann = ann.await.unwrap();
    let bob = server.client("bob").await.unwrap();
    let (mut messages, mut events) = (bob.messages(), bob.events());
    timeout(PATIENCE, bob.online()).await.unwrap().unwrap();
    let sent = ann.send(bob.user_id(), CONTENT).await.unwrap();
    let refused = ann.send(&"nobody".parse().unwrap(), CONTENT).await.unwrap_err();
    assert_eq!(contents(&mut messages, 1).await, [CONTENT]);
    server.drop_connections();
    let desk = Client::builder(server.direct_url().await.unwrap());
    let desk = desk.login("ann", PASSWORD).await.unwrap();
    desk.send(bob.user_id(), CONTENT).await.unwrap();
    assert_eq!(contents(&mut messages, 1).await, [CONTENT]);
    while timeout(PATIENCE, events.next()).await.unwrap() != Some(Event::CaughtUp) {}
    ann.search_messages(CONTENT).await.unwrap();
    ann.edit(&sent.id, CONTENT).await.unwrap();
    ann.change_password(PASSWORD, "another password").await.unwrap();
    for client in [&ann, &bob, &desk] {
        timeout(PATIENCE, client.shutdown()).await.unwrap();
    }

    let (anns, bobs) = (ann.user_id().as_str(), bob.user_id().as_str());
    let register = [
        ("method", "POST"),
        ("path", "api/auth/register"),
        ("tries", "1"),
        ("outcome", "ok"),
    ];
    seen.has("call", &register);
    seen.has("call", &[("path", "api/messages/search"), ("outcome", "ok")]);
    seen.has("connect", &[("user", anns), ("outcome", "ok")]);
    let connection = seen.has("connection", &[("user", bobs)]);
    assert!(connection.fields.contains_key("sid"), "{connection:?}");
    let caught_up = seen.has("catch_up", &[("all", "true"), ("outcome", "ok")]);
    assert_eq!(caught_up.parent, Some("connection"));
    assert!(caught_up.fields.contains_key("pages") && caught_up.fields.contains_key("messages"));
    let calls = seen.named("call");
    assert!(calls.iter().any(|call| call.parent == Some("catch_up")), "{calls:#?}");
    let id = sent.client_message_id.unwrap();
    let stored = [
        ("id", id.as_str()),
        ("to", bobs),
        ("tries", "1"),
        ("seq", "1"),
        ("outcome", "ok"),
    ];
    seen.has("send", &stored);
    assert_eq!(refused.code().unwrap().as_str(), "USER_NOT_FOUND");
    seen.has("send", &[("to", "nobody"), ("outcome", "USER_NOT_FOUND")]);

    let everything = seen.0.lock().unwrap();
    let mut secrets = tokens.kept.lock().unwrap().clone();
    assert!(secrets.len() >= 4, "of the registration and of the new password");
    secrets.extend([CONTENT, PASSWORD, "another password", "nobody+else", "nobody%20else"].map(str::to_owned));
    for word in &everything.words {
        for secret in &secrets {
            assert!(!word.contains(secret.as_str()), "{word}");
        }
    }
}
