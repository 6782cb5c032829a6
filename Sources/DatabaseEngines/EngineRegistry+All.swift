// The engines of this daemon: a new one is a target and a name in this list.

public import DatabaseContract
internal import MySQLEngine
internal import PostgreSQLEngine
internal import RedisEngine
internal import SQLiteEngine

extension EngineRegistry {
    /// Every engine that there is.
    public static let all = EngineRegistry([.sqlite, .postgresql, .mysql, .redis])
}
