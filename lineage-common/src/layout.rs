//! Where the fields of kernel structures are, on the kernel that is running.
