//! The allocator and its chunk metadata.
