//! What can be done to a database, the same for each.

macro_rules! faults {
    ($part:ident, $service:ident, $recovery:literal) => {
        impl $part {
            /// Stops its clock: it keeps its connections, new ones are accepted, and nothing is answered.
            ///
            /// SIGSTOP natively, a frozen control group in Docker.
            ///
            /// # Errors
            ///
            /// [`Shared`](crate::ErrorKind::Shared) for a shared instance, [`NotRunning`](crate::ErrorKind::NotRunning)
            /// when it is down.
            pub async fn pause(&self) -> Result<(), Error> {
                self.instance.pause().await
            }

            /// Lets it run on after [`pause`](Self::pause).
            ///
            /// # Errors
            ///
            /// As [`pause`](Self::pause).
            pub async fn unpause(&self) -> Result<(), Error> {
                self.instance.unpause().await
            }

            /// Ends it at once with SIGKILL; returns when it is gone. Its port stays reserved and its data stay.
            ///
            /// # Errors
            ///
            /// As [`pause`](Self::pause); and [`Late`](crate::ErrorKind::Late) when it is not gone within 10 s.
            pub async fn kill(&self) -> Result<(), Error> {
                self.instance.kill().await
            }

            /// Ends it in good order with SIGTERM; returns when it is gone. Its port stays reserved and its data stay.
            ///
            /// # Errors
            ///
            /// As [`pause`](Self::pause); and [`Late`](crate::ErrorKind::Late) when it is not gone within 20 s.
            pub async fn stop(&self) -> Result<(), Error> {
                self.instance.stop().await
            }

            /// Starts it again on the same port with the same data, and returns when it is ready; kills it before if it
            /// runs. What was acknowledged before is there again:
            #[doc = concat!($recovery, ".")]
            ///
            /// # Errors
            ///
            /// [`Shared`](crate::ErrorKind::Shared) for a shared instance, [`Ended`](crate::ErrorKind::Ended) when it does
            /// not stay up, [`Late`](crate::ErrorKind::Late) when it is not ready within 60 s.
            pub async fn restart(&self) -> Result<(), Error> {
                self.instance.restart::<$service>().await
            }

            /// All that it logged since it was first started.
            ///
            /// # Errors
            ///
            /// [`Docker`](crate::ErrorKind::Docker) when the daemon does not hand it out.
            pub async fn logs(&self) -> Result<String, Error> {
                self.instance.logs().await
            }
        }
    };
}

pub(crate) use faults;
