//! Chance that can be had again, and how often and how long everything is done.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often and how long: little by default, for all tests together have minutes.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    full: bool,
    seed: u64,
}

impl Plan {
    /// `FAULT_ROUNDS=full` asks for so many rounds and the long faults; a number for that many, with the long faults too.
    /// `FAULT_SEED` repeats a run as far as chance goes; what the machine does in between is another matter.
    pub(crate) fn of(usual: usize, full: usize) -> Self {
        let asked = std::env::var("FAULT_ROUNDS").unwrap_or_default();
        let rounds = match asked.as_str() {
            "" => usual,
            "full" => full,
            number => number.parse().expect("FAULT_ROUNDS is `full` or a number"),
        };
        let seed = match std::env::var("FAULT_SEED") {
            Ok(seed) => seed.parse().expect("FAULT_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64 % 1_000_000_000,
        };
        println!("FAULT_SEED={seed}, {rounds} rounds");
        Self {
            rounds,
            full: !asked.is_empty(),
            seed,
        }
    }

    /// Whether more than the usual is asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// How long a fault or a load lasts.
    pub(crate) fn lasting(&self, usual: u64, full: u64) -> Duration {
        Duration::from_secs(if self.full { full } else { usual })
    }

    /// Of one round, or of one of those who take part in it.
    pub(crate) fn dice(&self, number: usize) -> Dice {
        Dice(self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ ((number as u64) << 32))
    }
}

/// A splitmix64: small, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
