//! A message comes in, a streamed answer goes out.
