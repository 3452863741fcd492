//! A folder of the operating system.
