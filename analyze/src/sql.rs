//! Questions in SQL over the frames.

pub mod cli;
