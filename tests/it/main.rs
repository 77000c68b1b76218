//! The integration tests: one binary, folders by subject.
