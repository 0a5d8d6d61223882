"""Server-rendered pages for staff: they work without JavaScript."""

from fastapi import APIRouter

from app.pages import classrooms, sign_in
from app.pages.rendering import error_page, static

__all__ = ["error_page", "router", "static"]

router = APIRouter(include_in_schema=False)
router.include_router(sign_in.router)
router.include_router(classrooms.router)
