//! The file with a crash wherever one can be, and readers between it and the ring.
