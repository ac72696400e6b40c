import Replication

extension ConfigurationSection {
    /// Patterns of names, none of them empty.
    func patterns(_ key: String) throws -> Setting<[String]>? {
        guard let said = try texts(key) else { return nil }
        if said.value.contains(where: PatternList.isBlank) {
            throw ConfigurationError(said.origin, "\(path(key)): a pattern may not be empty")
        }
        return said
    }

    /// Patterns of the names that are in scope. No pattern would mean everything, and whoever writes an empty list means nothing.
    func names(_ key: String) throws -> Setting<[String]>? {
        guard let said = try patterns(key) else { return nil }
        if said.value.isEmpty {
            throw ConfigurationError(
                said.origin,
                "\(path(key)): expected a pattern, found an empty list; leave the key out for everything, or write [\"!**\"] for none")
        }
        return said
    }
}
