//! Views: what a responder looks at before asking in SQL.
//!
//! [`timeline`] and [`tree`] are drawn from frames ([`entries`] and [`forest`] say how rows become moments and trees);
//! [`uses`] (`files` and `net`) asks the tables of uses. [`follow`] (bytes read and written) and [`spectrogram`] (how long
//! calls took) look at events one by one, by [`walk`], and keep nothing of them.

pub mod entries;
pub mod follow;
pub mod forest;
pub mod spectrogram;
pub mod timeline;
pub mod tree;
pub mod uses;
pub mod walk;
