//! What every backend must do: stamped on each of them.
