//! The Lambda host: runs the real handler as a subprocess behind the Lambda Runtime API.
