"""Scripted services, one for each dialect of the OpenAI API, on 127.0.0.1.

    with serving(DeepSeek()) as service:
        ...  # run the command line against service.address, with service.dialect.configuration(service.address, None)

A service answers as the real one does (its errors, its odd members, what it takes, refuses and silently drops), also
to a probe. A question of a test names a scene in its text, `[[too long]]`, which is played. `serving` fails at its
end where a question came in the wrong mode, or anything at a wrong address, with a wrong key or with what that
service refuses.
"""

from __future__ import annotations

from tests.support.dialects.azure import AzureDeployment, AzureV1
from tests.support.dialects.deepseek import DeepSeek
from tests.support.dialects.dialect import KEY, Dialect, Said, Scene
from tests.support.dialects.heard import Heard
from tests.support.dialects.litellm_proxy import LiteLLMProxy, LiteLLMWithoutSchemas
from tests.support.dialects.llama_cpp import LlamaCpp, LlamaCppUnforced, LlamaCppWithoutTools
from tests.support.dialects.ollama import Ollama
from tests.support.dialects.openai_api import OpenAI, OpenAIReasoning
from tests.support.dialects.openrouter import OpenRouter
from tests.support.dialects.serving import Service, serving
from tests.support.dialects.sglang import SGLang
from tests.support.dialects.vllm import VLLM

DIALECTS: tuple[type[Dialect], ...] = (
    OpenAI,
    AzureDeployment,
    AzureV1,
    DeepSeek,
    Ollama,
    VLLM,
    SGLang,
    LlamaCpp,
    LlamaCppUnforced,
    LlamaCppWithoutTools,
    OpenRouter,
    LiteLLMProxy,
    LiteLLMWithoutSchemas,
)
"""Those that take the parameters of an ask as it sends them; OpenAIReasoning does not."""

__all__ = [
    "DIALECTS",
    "KEY",
    "VLLM",
    "AzureDeployment",
    "AzureV1",
    "DeepSeek",
    "Dialect",
    "Heard",
    "LiteLLMProxy",
    "LiteLLMWithoutSchemas",
    "LlamaCpp",
    "LlamaCppUnforced",
    "LlamaCppWithoutTools",
    "Ollama",
    "OpenAI",
    "OpenAIReasoning",
    "OpenRouter",
    "SGLang",
    "Said",
    "Scene",
    "Service",
    "serving",
]
