//! Python's struct format language at run time.
