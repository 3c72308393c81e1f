"""A session with an MCP server, by the client of PyPI's `mcp`.

Reads {"command": [...], "calls": [[tool, arguments], ...]} from standard input, and prints what the server says of itself and
answers. The server inherits the environment.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main():
    asked = json.load(sys.stdin)
    command, *args = asked["command"]
    server = StdioServerParameters(command=command, args=args, env=dict(os.environ))
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write, read_timeout_seconds=timedelta(seconds=120)) as session:
            told = {"server": plain(await session.initialize())}
            told["tools"] = [plain(tool) for tool in (await session.list_tools()).tools]
            told["prompts"] = [plain(prompt) for prompt in (await session.list_prompts()).prompts]
            told["guide"] = plain(await session.get_prompt(told["prompts"][0]["name"]))
            told["answers"] = []
            for name, arguments in asked["calls"]:
                try:
                    # Checks the answer against the tool's own schema as well.
                    told["answers"].append(plain(await session.call_tool(name, arguments)))
                except McpError as error:
                    told["answers"].append({"error": plain(error.error)})
    print(json.dumps(told))


asyncio.run(main())
