//! The schemas of requests and events as something that can be kept and broken on purpose.

use std::ops::Range;

use chat_spec::{OPENAPI_JSON, Operation};
use serde_json::{Value, json};

/// A property of a request body, of a payload, or a parameter of the query.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) nullable: bool,
    /// An id of something: of the wrong form it is as unknown as any other.
    pub(super) is_id: bool,
    /// Without references.
    schema: Value,
}

/// A value that breaks one keyword.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) keyword: &'static str,
    /// `None` leaves the property out.
    pub(super) value: Option<Value>,
}

/// A value at a bound, or one step beyond it.
#[derive(Debug, Clone)]
pub(super) struct AtBound {
    pub(super) value: Value,
    pub(super) within: bool,
    pub(super) what: String,
}

/// The properties of a schema of `schemas/`.
pub(super) fn properties(schema: &str) -> Vec<Property> {
    let text = chat_spec::schema(schema).unwrap_or("{}");
    let root: Value = serde_json::from_str(text).unwrap_or_default();
    let required = |name: &str| {
        let names = root["required"].as_array().into_iter().flatten();
        names.into_iter().any(|known| known == name)
    };
    let members = root["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, described)| Property::read(name, required(name), described, &root))
        .collect()
}

/// The parameters in the query of a call.
pub(super) fn query(operation: Operation) -> Vec<Property> {
    let root: Value = serde_json::from_str(OPENAPI_JSON).unwrap_or_default();
    let described = &root["paths"][operation.path()][operation.method().to_lowercase()]["parameters"];
    let parameters = described.as_array().into_iter().flatten();
    parameters
        .map(|parameter| follow(parameter, &root).0)
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| {
            let name = parameter["name"].as_str().unwrap_or_default();
            Property::read(name, parameter["required"] == true, &parameter["schema"], &root)
        })
        .collect()
}

/// What stands behind a reference, and the last word of the reference.
fn follow<'a>(value: &'a Value, root: &'a Value) -> (&'a Value, &'a str) {
    let mut found = (value, "");
    while let Some(reference) = found.0["$ref"].as_str() {
        let Some(target) = root.pointer(reference.trim_start_matches('#')) else {
            break;
        };
        found = (target, reference.rsplit('/').next().unwrap_or_default());
    }
    found
}

impl Property {
    fn read(name: &str, required: bool, described: &Value, root: &Value) -> Self {
        // Either a type, or null: the one pattern that the contract uses `anyOf` for in requests.
        let choices = described["anyOf"].as_array().into_iter().flatten();
        let nullable_choice = choices.clone().any(|choice| choice["type"] == "null");
        let choice = choices.into_iter().find(|choice| choice["type"] != "null");
        let (schema, reference) = follow(choice.unwrap_or(described), root);
        let mut schema = schema.clone();
        let mut is_id = reference == "Id";
        if schema["items"].is_object() {
            let (items, reference) = follow(&schema["items"], root);
            is_id = reference == "Id";
            schema["items"] = items.clone();
        }
        let types = schema["type"].as_array().cloned().unwrap_or_default();
        let nullable = nullable_choice || types.iter().any(|kind| kind == "null");
        if let Some(kind) = types.into_iter().find(|kind| kind != "null") {
            schema["type"] = kind;
        }
        Self {
            name: name.to_owned(),
            required,
            nullable,
            is_id,
            schema,
        }
    }

    pub(super) fn kind(&self) -> &str {
        self.schema["type"].as_str().unwrap_or_default()
    }

    /// What the schema allows as length: of a text in scalars, of a list in items. From a pattern that ends so, too.
    fn lengths(&self) -> Option<Range<usize>> {
        let number = |keyword: &str| self.schema[keyword].as_u64().map(|number| number as usize);
        if let Some((_, counted)) = self.pattern().and_then(|pattern| pattern.rsplit_once('{')) {
            let (least, most) = counted.strip_suffix("}$")?.split_once(',')?;
            return Some(least.parse().ok()?..most.parse::<usize>().ok()? + 1);
        }
        let (least, most) = match self.kind() {
            "array" => (number("minItems"), number("maxItems")),
            _ => (number("minLength"), number("maxLength")),
        };
        (least.is_some() || most.is_some()).then(|| least.unwrap_or(0)..most.map_or(usize::MAX, |most| most + 1))
    }

    fn pattern(&self) -> Option<&str> {
        self.schema["pattern"].as_str()
    }

    /// A text or list of this length that keeps every other keyword.
    fn of_length(&self, length: usize) -> Value {
        if self.kind() == "array" {
            return (0..length).map(|number| json!(format!("{number:024x}"))).collect();
        }
        let filled = |start: &str, letter: &str| {
            let rest = length.saturating_sub(start.chars().count());
            Value::from(format!("{start}{}", letter.repeat(rest)))
        };
        match (self.name.as_str(), self.pattern()) {
            (_, Some("^https://")) => filled("https://cdn.example/", "p"),
            (_, Some(_)) => filled("", "u"),
            // Labels of a domain have at most 63 letters, the part before it 64.
            ("email", None) => {
                let domain = "@a".to_owned() + &".abcdefghi".repeat(30);
                let cut: String = domain.chars().take(length.saturating_sub(64)).collect();
                let whole = cut.trim_end_matches('.').to_owned();
                filled("", "e").as_str().map_or(Value::Null, |letters| {
                    let local: String = letters.chars().take(length - whole.len()).collect();
                    Value::from(local + &whole)
                })
            }
            // Outside the basic plane: one scalar, two UTF-16 units, four bytes.
            _ => filled("", "\u{1f600}"),
        }
    }

    /// Values that break one keyword each.
    pub(super) fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut add = |keyword: &'static str, value: Value| {
            broken.push(Broken {
                keyword,
                value: Some(value),
            });
        };
        let others: &[Value] = &match self.kind() {
            "string" => [json!(7), json!(1.5), json!(true), json!(["text"]), json!({"text": "x"})],
            "array" => [json!("text"), json!(7), json!(false), json!(0.5), json!({"0": "x"})],
            "boolean" => [json!("true"), json!(1), json!(0), json!([true]), json!({})],
            _ => [json!("text"), json!([]), json!({}), json!(true), json!("")],
        };
        others.iter().cloned().for_each(|other| add("type", other));
        // Where nothing may stand, null may be taken for nothing.
        if self.required && !self.nullable {
            add("type", Value::Null);
        }
        for wrong in self.bounds().into_iter().filter(|value| !value.within) {
            let keyword = match (self.kind(), self.pattern()) {
                ("array", _) => "minItems, maxItems",
                (_, None | Some("^https://")) => "minLength, maxLength",
                _ => "pattern",
            };
            add(keyword, wrong.value);
        }
        if let Some(pattern) = self.pattern().filter(|_| !self.is_id) {
            let wrong: &[&str] = match pattern {
                "^https://" => &[
                    "http://cdn.example/a.png",
                    "javascript:alert(1)",
                    "//cdn.example/a.png",
                    "text",
                ],
                _ => &[
                    "with space",
                    "sl/ash",
                    "\u{43e}lga_h",
                    "quo'te",
                    "line\nbreak",
                    "nul\u{0}nul",
                    "\u{ff41}bcd",
                    "tab\tbed",
                ],
            };
            wrong.iter().for_each(|text| add("pattern", json!(text)));
        }
        if self.schema["enum"].is_array() {
            for text in ["other", "", " ", "__proto__"] {
                add("enum", json!(text));
            }
            if let Some(first) = self.schema["enum"][0].as_str() {
                add("enum", json!(first.to_uppercase()));
                add("enum", json!(format!("{first} ")));
            }
        }
        if self.kind() == "array" {
            for item in [json!(7), json!(null), json!({}), json!([])] {
                add("items", json!([item]));
            }
        }
        if self.required {
            broken.push(Broken {
                keyword: "required",
                value: None,
            });
        }
        broken
    }

    /// Values on both sides of every bound of the length. Ids have none: too long a one is as unknown as any other.
    pub(super) fn bounds(&self) -> Vec<AtBound> {
        let Some(lengths) = self.lengths().filter(|_| !self.is_id || self.kind() == "array") else {
            return Vec::new();
        };
        let mut bounds = Vec::new();
        let mut add = |length: usize, within: bool| {
            let what = format!("{} of length {length}", self.name);
            let value = self.of_length(length);
            bounds.push(AtBound { value, within, what });
        };
        if let Some(below) = lengths.start.checked_sub(1) {
            // What the shortest addresses are is not said.
            if self.name != "email" {
                add(lengths.start, true);
            }
            add(below, false);
        }
        if lengths.end != usize::MAX {
            add(lengths.end - 1, true);
            add(lengths.end, false);
        }
        bounds
    }

    /// Values of a number in the query, on both sides of its bounds.
    pub(super) fn number_bounds(&self) -> Vec<AtBound> {
        let mut bounds = Vec::new();
        let mut add = |number: i64, within: bool| {
            let what = format!("{} {number}", self.name);
            bounds.push(AtBound {
                value: json!(number),
                within,
                what,
            });
        };
        if let Some(least) = self.schema["minimum"].as_i64() {
            add(least, true);
            add(least - 1, false);
        }
        if let Some(most) = self.schema["maximum"].as_i64() {
            add(most, true);
            add(most + 1, false);
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: &str, name: &str) -> Property {
        let found = properties(schema).into_iter().find(|property| property.name == name);
        found.unwrap_or_else(|| panic!("{schema} has no {name}"))
    }

    /// Whether a value keeps the schema, by a validator that is not ours.
    fn keeps(schema: &str, base: &Value, name: &str, value: Option<&Value>) -> bool {
        let text = chat_spec::schema(schema).unwrap_or("{}");
        let validator = jsonschema::validator_for(&serde_json::from_str(text).unwrap_or_default());
        let mut body = base.clone();
        match value {
            Some(value) => body[name] = value.clone(),
            None => drop(body.as_object_mut().and_then(|members| members.remove(name))),
        }
        validator.is_ok_and(|validator| validator.is_valid(&body))
    }

    #[test]
    fn what_is_meant_to_break_a_schema_breaks_it_and_nothing_else_does() {
        let bases = [
            (
                "RegisterRequest",
                json!({"username": "ann", "email": "a@b.org", "password": "12345678", "confirmPassword": "12345678"}),
            ),
            ("SendMessageRequest", json!({"to": "x", "content": "x"})),
            ("UpdateProfileRequest", json!({})),
            ("TypingEvent", json!({"to": "x", "isTyping": true})),
            ("UpdateStatusEvent", json!({"status": "busy"})),
            ("EditMessageRequest", json!({"content": "x"})),
            ("MarkReadRequest", json!({"messageIds": ["x"]})),
        ];
        for (schema, base) in &bases {
            for property in properties(schema) {
                for broken in property.broken() {
                    let kept = keeps(schema, base, &property.name, broken.value.as_ref());
                    assert!(!kept, "{schema}.{}: {broken:?}", property.name);
                }
                for bound in property.bounds() {
                    let kept = keeps(schema, base, &property.name, Some(&bound.value));
                    assert_eq!(kept, bound.within, "{schema}.{}", bound.what);
                }
            }
        }
    }

    #[test]
    fn references_and_choices_are_followed() {
        assert!(of("SendMessageRequest", "chatId").nullable && of("SendMessageRequest", "chatId").is_id);
        assert!(of("MarkReadRequest", "messageIds").is_id && !of("MarkReadRequest", "messageIds").required);
        assert_eq!(of("SendMessageRequest", "clientMessageId").lengths(), Some(1..65));
        assert_eq!(of("SendMessageRequest", "content").lengths(), Some(1..4097));
        let limit = query(Operation::SearchUsers)
            .into_iter()
            .find(|one| one.name == "limit");
        assert_eq!(limit.map(|limit| limit.number_bounds().len()), Some(4));
    }
}
