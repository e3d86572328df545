//! What people write, as far as a search index sees it: common words, the first ones most often.

use rand::RngExt as _;

use crate::schedule::chance;

/// As many as a number of eight bits names.
#[rustfmt::skip]
const WORDS: [&str; 256] = [
    "you", "I", "the", "to", "a", "it", "and", "is", "in", "that", "of", "me", "what", "this", "on", "for", "not",
    "we", "do", "my", "no", "so", "be", "are", "have", "just", "your", "know", "with", "but", "all", "like", "at",
    "how", "here", "they", "go", "out", "up", "if", "can", "about", "get", "now", "right", "oh", "he", "will", "good",
    "was", "want", "when", "think", "one", "come", "see", "well", "yeah", "let", "going", "ok", "got", "time", "why",
    "did", "been", "take", "look", "who", "back", "there", "tell", "from", "please", "some", "them", "were", "make",
    "said", "would", "could", "should", "really", "need", "too", "thing", "way", "sorry", "off", "day", "yes", "over",
    "then", "where", "hey", "man", "down", "thanks", "never", "people", "maybe", "home", "love", "her", "him", "his",
    "she", "our", "work", "only", "more", "something", "call", "an", "us", "or", "had", "give", "any", "much",
    "nothing", "keep", "sure", "than", "dad", "mom", "still", "ever", "night", "even", "help", "always", "talk",
    "because", "again", "great", "first", "before", "stop", "house", "wait", "live", "find", "two", "put", "believe",
    "better", "may", "left", "long", "after", "doing", "last", "must", "away", "kind", "name", "done", "new", "these",
    "guy", "listen", "friend", "try", "lot", "place", "room", "feel", "things", "mean", "leave", "care", "big",
    "world", "money", "happened", "show", "might", "start", "best", "morning", "car", "tonight", "every", "hear",
    "heart", "next", "doctor", "turn", "head", "old", "together", "enough", "anything", "days", "second", "minute",
    "course", "problem", "girl", "years", "already", "without", "someone", "stay", "beautiful", "guess", "coming",
    "remember", "wrong", "run", "family", "bring", "week", "another", "ready", "phone", "later", "watch", "getting",
    "talking", "matter", "door", "food", "against", "whole", "five", "idea", "true", "almost", "happy", "exactly",
    "bad", "train", "dinner", "tomorrow", "yesterday", "birthday", "holiday", "weekend", "photo", "school", "coffee",
    "bus", "ticket", "street", "garden", "weather", "rain", "meeting", "project", "answer", "question", "kitchen",
    "window", "summer",
];

/// Of a draw, the bits that choose a word, and how many words it is good for.
const BITS: u32 = 16;
const EACH: u32 = u64::BITS / BITS;

/// Words without end, those of one message.
pub(super) fn words(stream: u32, number: u32) -> impl Iterator<Item = &'static str> {
    let mut chance = chance(u64::from(stream), number as usize);
    let (mut drawn, mut left) = (0u64, 0);
    std::iter::from_fn(move || {
        if left == 0 {
            (drawn, left) = (chance.random(), EACH);
        }
        let [one, other, ..] = drawn.to_le_bytes();
        (drawn, left) = (drawn >> BITS, left - 1);
        // The product of two numbers is more often small.
        let place = usize::from(one) * usize::from(other) / WORDS.len();
        WORDS.get(place).copied()
    })
}
