//! The demo: from no CA to a board that is let in, shown as a timeline.

pub mod timeline;
