//! What reaches across the processes of one deployment: delivery to devices, and limits.

pub mod limits;
