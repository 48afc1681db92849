//! Wiring only: the workflow is in the library.

fn main() {}
