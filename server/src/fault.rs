//! Mistakes that can be switched on, one for a process, to see whether tests notice: those that teams make, where they make
//! them. Only in builds with the feature `faults`: in every other one `fault!(…)` is a constant, and no mistake has even a name.

/// Whether a mistake is to be made, or one of several.
#[cfg(not(feature = "faults"))]
macro_rules! fault {
    ($($name:ident),+) => {
        $crate::fault::never()
    };
}

/// What is delivered makes no mistake on purpose.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn never() -> bool {
    false
}

#[cfg(feature = "faults")]
macro_rules! fault {
    ($($name:ident),+) => {
        $($crate::fault::Fault::$name.is_on())||+
    };
}

#[cfg(feature = "faults")]
pub use switch::Fault;

#[cfg(feature = "faults")]
mod switch {
    use std::sync::OnceLock;

    static ON: OnceLock<Fault> = OnceLock::new();

    macro_rules! faults {
        ($($name:ident),+ $(,)?) => {
            /// The mistakes.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum Fault {
                $($name),+
            }

            impl Fault {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name),+];

                /// As it is switched on.
                pub const fn name(self) -> &'static str {
                    match self {
                        $(Self::$name => stringify!($name)),+
                    }
                }
            }
        };
    }

    faults! {
        // Storing.
        AckBeforeCommit, NoFsync, SeqGap, SeqBeforeVisible, LostIdempotency, IdempotencyOfAnybody, RepeatToldAgain, ReuseAccepted,
        ContentTrimmed, EditResetsRead, EditKeepsSearch, DeleteKeepsContent, DeletedInSearch, TombstonesHidden, DeleteKeepsUnread, UnreadOffByOne,
        UnreadCountsOwn, ReadAgain, ReceiptIgnoresChat, SearchEverywhere, SearchOfPatterns, SearchInCase, NamesInCase,
        InactiveFound, MessageToInactive, FoundByEmail, EditedAllTheSame, HalfRead, HalfUpdated,
        // Lists.
        OffsetPaging, OffsetInSearch, OwnDefaultLimit, UsersUnordered, CursorSkips, CursorUnsealed, MovedChatsLost,
        AfterInclusive, LimitClamped, ChatsUnordered,
        // Rights.
        StrangerReads, StrangerEdits, StrangerForbidden, ReceiverEdits, StrangerJoins, MassAssignment, ClientIdToReceiver,
        EmailInPicture,
        // Sessions and tokens.
        RevokedTokenLives, RefreshAsAccess, AccessAsRefresh, UnsignedToken, AnyAlgorithm, TokenInUrl, RefreshReusable, ReuseKeepsSession,
        ReuseKeepsSockets, LogoutKeepsSockets, LogoutEndsAll, PasswordKeepsOthers, SocketOutlivesToken, GuestsHurried,
        InactiveTokenLives, UnknownUserFast, UnknownUserTold, InactiveToldFirst, PasswordCut, SecondUserAccepted, ExtensionIgnored,
        // Delivery.
        DoubledBroadcast, FirstDeviceOnly, SenderForgotten, OriginToldToo, OrderSwapped, RestTellsNobody, FirstMessageUntold, JoinTold,
        OneReceiptPerChat, EditToldToSenderOnly, RestMessageSent, HungUpForgotten,
        // Presence and typing.
        OfflineWithFirst, NoGrace, GraceTooLong, OnlineForEachDevice, InvisibleListed, GoneListed, InvisibleLeavesLoudly, InvisibleSeenLast,
        InvisibleInLists, StatusKept, StatusUntold, StatusKeepsLastSeen, TypingLeaks, TypingForever, TypingHurried, TypingLate, TypingNotRenewed, TypingStaysOnDisconnect,
        // Limits and hostile input.
        LimitsUnmounted, LimitsByAddress, ForwardedBelieved, EventsUnlimited, DetailsEcho, LengthInUtf16, OneDetailOnly,
        PayloadKills, UnknownEventIgnored, BadPayloadIgnored, AnyRequestId, MalformedIdFails, CallsLetForeignersIn, InternalsTold, ZeroIsDefault, ZeroUnlogged,
        // Several nodes.
        NodesApart, LimitsPerNode, SessionsPerNode,
    }

    impl Fault {
        /// Whether this one is switched on.
        pub fn is_on(self) -> bool {
            ON.get() == Some(&self)
        }

        /// Switches the one with this name on, for as long as the process lives.
        ///
        /// # Errors
        /// When there is none, or another is on.
        pub fn switch_on(name: &str) -> Result<(), String> {
            let found = Self::ALL.iter().find(|fault| fault.name() == name);
            let fault = *found.ok_or_else(|| format!("there is no fault {name}"))?;
            ON.set(fault).map_err(|_| "one fault at a time".to_owned())
        }
    }
}
