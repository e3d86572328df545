//! The text of an answer, read to its end: none that never ends, and none that was mended on the way.

use super::http::because;

/// No answer of this API comes near it. One that is larger is no answer.
pub(crate) const LARGEST: usize = 16 << 20;

/// A body as text.
pub(crate) struct Text {
    pub(crate) text: String,
    /// Otherwise what is none was replaced, to be shown.
    pub(crate) is_utf8: bool,
}

impl Text {
    /// # Errors
    ///
    /// When the body does not come to its end, or is larger than any answer may be.
    pub(crate) async fn of(mut response: reqwest::Response) -> Result<Self, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| because(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("a body of more than {} MiB", LARGEST >> 20));
            }
            body.extend_from_slice(&chunk);
        }
        let (text, is_utf8) = match String::from_utf8(body) {
            Ok(text) => (text, true),
            Err(wrong) => (String::from_utf8_lossy(wrong.as_bytes()).into_owned(), false),
        };
        Ok(Self { text, is_utf8 })
    }

    /// # Errors
    ///
    /// As [`Self::of`]; and when it is no UTF-8.
    pub(crate) async fn strictly_of(response: reqwest::Response) -> Result<String, String> {
        let body = Self::of(response).await?;
        match body.is_utf8 {
            true => Ok(body.text),
            false => Err("a body that is no UTF-8".into()),
        }
    }
}
