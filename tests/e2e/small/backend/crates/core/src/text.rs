pub const TEXT: &str = "text-0";
