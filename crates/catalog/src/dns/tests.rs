//! The table of the contract row by row, any bytes, and real sockets.

mod data;
mod fuzz;
mod limits;
mod recurse;
mod sockets;
mod table;
