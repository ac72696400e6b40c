import Platforms

/// Whether changes of the primary can be seen as the configuration says.
enum FeedCheck {
    static func run(_ settings: MirrorSettings) throws -> String {
        guard let database = try StoreFactory.followedDatabase(settings) else { return "the primary is polled" }
        database.close()
        return "triggers in \(database.uri.path)"
    }
}
