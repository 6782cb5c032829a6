// The same package by require().
import litebase = require("litebase");

export const first = async (): Promise<unknown> => (await litebase.connect()).first("SELECT 1");
