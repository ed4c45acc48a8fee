import asyncio
import sys

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def server():
    async def answer(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(6))
async def test_server(server, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(b"%d\n" % number)
    assert await reader.readline() == b"%d\n" % number
    writer.close()


@pytest.mark.asyncio
async def test_child_process():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out == b"42\n" and child.returncode == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_loop():
    return asyncio.get_running_loop()


@pytest.mark.asyncio(loop_scope="module")
class TestSharedLoop:
    async def test_first(self, module_loop):
        assert asyncio.get_running_loop() is module_loop

    async def test_second(self, module_loop):
        assert asyncio.get_running_loop() is module_loop


@pytest.mark.asyncio(loop_scope="session")
async def test_session_loop():
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_fails():
    await asyncio.sleep(0)
    raise ValueError("in a coroutine")


@pytest.mark.asyncio
async def test_task_fails():
    async def fail():
        raise LookupError("in a task")

    with pytest.raises(LookupError):
        await asyncio.create_task(fail())


@pytest.mark.asyncio
async def test_thread():
    assert await asyncio.to_thread(sum, [1, 2, 3]) == 6


async def test_without_mark():
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_port(unused_tcp_port):
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", unused_tcp_port)
    server.close()


def test_own_loop():
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.sleep(0, "value")) == "value"
    finally:
        loop.close()
