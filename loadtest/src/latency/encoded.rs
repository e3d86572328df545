//! Histograms in JSON: in the format that every HdrHistogram library reads (V2, deflated, base64).

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// A histogram that is text in JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded<C: hdrhistogram::Counter>(pub Histogram<C>);

impl<C: hdrhistogram::Counter> Serialize for Encoded<C> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.0, &mut bytes)
            .map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&base64(&bytes))
    }
}

impl<'de, C: hdrhistogram::Counter> Deserialize<'de> for Encoded<C> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = unbase64(&text).ok_or_else(|| D::Error::custom("a histogram that is not base64"))?;
        let mut histogram: Histogram<C> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|_| D::Error::custom("not an HdrHistogram"))?;
        // As it was recorded: one that does not grow takes nothing of what is slower than its own slowest.
        histogram.auto(true);
        Ok(Self(histogram))
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_json() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in [0, 1, 2_500, 2_500, 77_000_000] {
            histogram.record(value).unwrap();
        }
        let json = serde_json::to_string(&Encoded(histogram.clone())).unwrap();
        let back: Encoded<u64> = serde_json::from_str(&json).unwrap();
        assert_eq!(back.0, histogram);
        // It grows as before.
        let mut grows = back.0;
        grows.record(u64::from(u32::MAX) * 1000).unwrap();
        assert_eq!(grows.len(), histogram.len() + 1);
        for bad in ["\"\"", "\"???\"", "\"AAAA\"", "7"] {
            assert!(serde_json::from_str::<Encoded<u64>>(bad).is_err(), "{bad}");
        }
    }
}
